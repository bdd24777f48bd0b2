"""The status page with the data of a test's choice, in a browser without an Airflow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Locator, Page, expect

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.landing.dataset.manifest import LATE_AFTER, Manifest
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.sync import landing_result
from tests.status_page.client import client_without_login
from tests.tables.freshness_cases import CASES
from tests.tables.runs import hour, write_run
from tests.ui.conftest import SIZE, save_picture
from tests.ui.fake_airflow import NOW, URL, FakeAirflow, ago, landing

pytestmark = pytest.mark.ui

PHONE = {"width": 390, "height": 844}
TENANTS = ("acme", "beta", "gamma")


@pytest.fixture(scope="module")
def app() -> TestClient:
    return client_without_login()


@pytest.fixture
def fake(app: TestClient) -> FakeAirflow:
    return FakeAirflow(app)


Open = Callable[..., Page]


@pytest.fixture
def show(browser: Browser, fake: FakeAirflow) -> Iterator[Open]:
    """Open the page in a browser. No script may fail, and the policy for content must hold."""
    problems: list[str] = []
    contexts = []

    def show(
        path: str = "/alvys/", *, expected: str = "ready", is_refused: bool = False, **options: Any
    ) -> Page:
        context = browser.new_context(**{"viewport": SIZE, "color_scheme": "light", **options})
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        # A browser counts a refused request as an error.
        if not is_refused:
            page.on("console", lambda entry: problems.append(entry.text) if entry.type == "error" else None)
        fake.serve(page)
        page.goto(f"{URL}{path}")
        expect(page.locator("body")).to_have_attribute("data-state", expected)
        return page

    yield show
    for context in contexts:
        context.close()
    assert problems == []


def row(page: Page, stream: str, tenant: str = "acme") -> Locator:
    return page.locator(f'tr[data-stream="{stream}"][data-tenant="{tenant}"]')


def fill(
    fake: FakeAirflow, streams: list[str], tenants: tuple[str, ...] = ("acme",), *, tables: bool = True
) -> None:
    """Land each stream a few times."""
    for tenant in tenants:
        path = f"/data/{tenant}" if len(tenants) > 1 else "/data/alvys"
        for number, stream in enumerate(streams):
            for hours in range(6, 0, -1):
                dag = f"alvys_{tenant}"
                rows = (number * 37 + hours * 13) % 90
                fake.land(stream, hours / 2, dag=dag, tenant=tenant, path=path, rows=rows)
                if tables:
                    fake.load(stream, hours / 2 - 0.1, dag=dag, path=path, changed=rows // 2)


def test_without_data_the_page_says_what_to_do(show: Open, fake: FakeAirflow) -> None:
    page = show()
    expect(page.get_by_role("heading", name="No data yet")).to_be_visible()
    expect(page.get_by_text("Run a sync")).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)
    # Assets, DAGs, DAGs that failed, checks.
    assert (sum(fake.requested.values()), max(fake.requested.values())) == (4, 2)


@pytest.fixture(scope="module")
def judging(browser: Browser, app: TestClient) -> Iterator[Page]:
    """A page whose scripts a test calls."""
    context = browser.new_context()
    page = context.new_page()
    FakeAirflow(app).serve(page)
    page.goto(f"{URL}/alvys/")
    yield page
    context.close()


@pytest.mark.parametrize(("runs", "expected"), CASES)
def test_the_page_judges_freshness_as_the_tables_and_the_data_set_do(
    judging: Page, tmp_path: Path, runs: list[tuple[float, dict[str, Any]]], expected: Any
) -> None:
    store = Store(str(tmp_path))
    landings = []
    for number, (hours, given) in enumerate(runs):
        changes = {"by": "updated", **given}
        by = changes.pop("by")
        at = (NOW - hour(0)).total_seconds() / 3600 - hours
        window = (by, hour(at - 1), hour(at)) if by else None
        as_of = hour(at) if by else None
        path = write_run(tmp_path, at=at, window=window, name=f"run-{number}", **{"as_of": as_of, **changes})
        name = str(Path(path).relative_to(tmp_path))
        manifest = store.get_json(name, Manifest)
        assert manifest
        landings.append(landing_result(store, name, manifest))
    found = judging.evaluate(
        "([landings, now, lateAfter]) => "
        "import('./judge.js').then((judge) => judge.freshnessOf(landings, now, lateAfter))",
        [landings, NOW.timestamp() * 1000, LATE_AFTER],
    )
    age = None if found["age"] is None else round(found["age"] / 3_600_000, 1)
    assert (age, found["cadence"], found["freshness"]) == expected


def test_a_row_shows_the_figures_of_the_last_run(show: Open, fake: FakeAirflow) -> None:
    for hours in (30, 3, 2, 1):
        fake.land("loads", hours, rows=int(hours * 10), requests=12, attempt=2)
    fake.load("loads", 2.5, changed=7, seconds=60)
    fake.check("loads", 4, 0)
    fake.check("loads", 5, 9)
    page = show()
    loads = row(page, "loads")
    expect(loads.locator(".rows .number")).to_have_text("10")
    chart = loads.get_by_role("img", name="Rows of each run")
    expect(chart).to_have_attribute("aria-label", re.compile("oldest first: 300, 30, 20, 10$"))
    expect(loads.locator(".changed .number")).to_have_text("7")
    # Three runs of this day, and 10 requests a minute are allowed.
    expect(loads.locator(".requests")).to_contain_text("36 in 24 h")
    expect(loads.locator(".requests")).to_contain_text("0.3 % of the limit")
    expect(loads.locator(".waited")).to_contain_text("6.1 s")
    expect(loads.locator(".proof")).to_contain_text("attempt 2")
    expect(loads.locator(".backlog")).to_have_text("2")
    expect(loads.locator(".check .pill")).to_have_text("same")
    expect(loads.locator(".next")).to_contain_text("in 30 min")
    link = loads.get_by_role("link", name="alvys_hourly")
    expect(link).to_have_attribute("href", f"{URL}/dags/alvys_hourly")
    run = loads.get_by_role("link", name="run 2026-11-30 11:00")
    expect(run).to_have_attribute("href", f"{URL}/dags/alvys_hourly/runs/scheduled__2026-11-30T11%3A00%3A00Z")


def test_a_stream_is_complete_at_the_end_of_its_first_load(show: Open, fake: FakeAirflow) -> None:
    for hours in (0.5, 0.4):
        fake.land("loads", hours, as_of=ago(500), cadence=None)
    page = show()
    expect(row(page, "loads").locator(".freshness .pill")).to_have_text("unknown")
    ended = landing("loads", 0.6, manifests=["a", "b"], requests=4, rows=50)
    del ended["manifest"]
    fake.emit("/data/alvys/loads", 0.3, ended)
    page.clock.fast_forward(61_000)
    expect(row(page, "loads").locator(".freshness .pill")).to_have_text("fresh")
    expect(row(page, "loads").locator(".requests")).to_contain_text("4 in 24 h")
    expect(row(page, "loads").locator(".rows .number")).to_have_text("25")


def test_the_manifest_can_be_copied(show: Open, fake: FakeAirflow) -> None:
    fake.land("loads", 1)
    page = show(permissions=["clipboard-read", "clipboard-write"])
    button = page.get_by_role("button", name="Copy the path of the manifest of loads of acme")
    button.click()
    # Without https a browser has no clipboard: the path is shown.
    expect(page.locator("code.path")).to_have_text(landing("loads", 1)["manifest"])


PROBLEMS: dict[str, tuple[Callable[[FakeAirflow], None], str]] = {
    "The last run failed (1 DAG):": (
        lambda fake: (fake.land("loads", 1), fake.failed.append("alvys_hourly")),  # type: ignore[func-returns-value]
        "troubleshooting.html",
    ),
    "The last check found differences (1 stream):": (
        lambda fake: (fake.land("loads", 1), fake.check("loads", 1, 3)),  # type: ignore[func-returns-value]
        "runbook.html#a-hole",
    ),
    "Rows may be missing: the last run is open (1 stream):": (
        lambda fake: (fake.land("loads", 1.2), fake.land("loads", 1, proof="open")),  # type: ignore[func-returns-value]
        "runbook.html#a-stream-that-stays-open",
    ),
    "Late (1 stream):": (lambda fake: fake.land("loads", 1.6), "runbook.html#a-late-stream"),
    "Never complete (1 stream):": (
        lambda fake: (fake.add_dag("alvys_hourly"), fake.asset("/data/alvys/loads")),  # type: ignore[func-returns-value]
        "runbook.html#a-late-stream",
    ),
    "Landed, but not in the table (1 stream):": (
        lambda fake: (fake.load("loads", 2), fake.land("loads", 1)),  # type: ignore[func-returns-value]
        "runbook.html#a-dropped-table",
    ),
    "Close to the rate limit (1 stream):": (
        lambda fake: fake.land("loads", 1, requests=11_520),
        "runbook.html#blocked-by-the-limit",
    ),
}


@pytest.mark.parametrize("title", PROBLEMS)
def test_the_banner_lists_what_needs_attention(show: Open, fake: FakeAirflow, title: str) -> None:
    provoke, advice = PROBLEMS[title]
    provoke(fake)
    page = show()
    expect(page.locator("#notices").get_by_role("heading")).to_have_text([title])
    link = page.locator("#notices").get_by_role("link", name="What to do")
    expect(link).to_have_attribute("href", re.compile(f"/{re.escape(advice)}$"))


def test_the_banner_is_empty_if_all_is_well(show: Open, fake: FakeAirflow) -> None:
    fake.land("loads", 1)
    fake.load("loads", 0.9)
    fake.check("loads", 1, 0)
    fake.land("loads", 0.2)
    page = show()
    expect(row(page, "loads").locator(".backlog")).to_have_text("1")
    expect(page.locator("#notices").get_by_role("heading")).to_have_count(0)


def test_all_streams_of_three_tenants_fit(show: Open, fake: FakeAirflow) -> None:
    fill(fake, sorted(STREAMS), TENANTS, tables=False)
    page = show()
    expect(page.locator("tbody tr")).to_have_count(len(STREAMS) * len(TENANTS))
    first = int(page.locator("body").get_attribute("data-requests") or 0)
    streams = len(STREAMS) * len(TENANTS)
    # Two pages of assets, DAGs, failed ones, checks; and the events of each asset.
    assert (first, sum(fake.requested.values())) == (streams + 5, streams + 5)
    expect(page.get_by_text("2 streams are")).to_have_count(0)
    # A minute later only what has a new event is read again.
    fake.land("loads", 0, dag="alvys_acme", path="/data/acme", rows=1234)
    fake.requested.clear()
    page.clock.fast_forward(61_000)
    expect(row(page, "loads").locator(".rows .number")).to_have_text("1,234")
    assert sum(fake.requested.values()) == 6
    page.get_by_role("searchbox", name="Find").fill("beta")
    expect(page.locator("tbody tr")).to_have_count(len(STREAMS))


def test_the_number_of_requests_is_bounded(show: Open, fake: FakeAirflow) -> None:
    for number in range(1100):
        fake.asset(f"/data/{number}/loads")
        fake.assets[-1]["last_asset_event"] = {"id": number + 1, "timestamp": ago(1)}
    fake.add_dag("alvys_hourly")
    for number in range(1100):
        fake.add_dag(f"other_{number}") if number < 50 else fake.dags.append(
            {**fake.dags[0], "dag_id": f"other_{number}"}
        )
    for number in range(400):
        entry = {"dag_id": "alvys_hourly", "run_id": "run", "task_id": f"check_{number}", "map_index": -1}
        fake.checks.append({**entry, "timestamp": ago(1), "value": {"stream": "loads", "tenant": "acme"}})
    page = show()
    bound = page.evaluate("import('./api.js').then((api) => api.MAX_REQUESTS)")
    # Without the failed runs and older events.
    assert sum(fake.requested.values()) == bound - 20 - 40 == 424
    about = page.locator("#about")
    for text in ("more than 1000 assets", "more than 1000 DAGs", "Only the 300 assets"):
        expect(about).to_contain_text(text)


def test_many_open_runs_do_not_hide_a_complete_one(show: Open, fake: FakeAirflow) -> None:
    fake.land("loads", 9)
    fake.land("loads", 8, tenant="beta")
    for number in range(130):
        fake.land("loads", 7 - number / 20, proof="open")
    page = show()
    expect(page.locator("tbody tr")).to_have_count(2)
    assert fake.requested["assets/events"] == 2
    expect(page.locator("#notices")).to_contain_text("Late (2 streams)")
    expect(page.locator("#notices")).not_to_contain_text("Never complete")


def test_a_stream_that_is_always_open_is_read_to_a_bound(show: Open, fake: FakeAirflow) -> None:
    for number in range(500):
        fake.land("loads", 30 - number / 20, proof="open")
    page = show()
    expect(page.locator("#notices")).to_contain_text("Never complete")
    assert fake.requested["assets/events"] == 5
    expect(page.locator("#about")).to_contain_text("Of 1 asset only the newest events are read")
    for number in range(20):
        for _ in range(60):
            fake.land("loads", 1, proof="open", path=f"/data/{number}")
    fake.requested.clear()
    page.clock.fast_forward(61_000)
    expect(page.locator("tbody tr")).to_have_count(21)
    assert fake.requested["assets/events"] <= 21 + 40


def test_nothing_is_read_while_the_page_is_hidden(show: Open, fake: FakeAirflow) -> None:
    fake.land("loads", 1)
    page = show()
    fake.requested.clear()
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.clock.fast_forward(600_000)
    assert not fake.requested
    page.evaluate("Object.defineProperty(document, 'hidden', {value: false})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#about")).to_contain_text("read at 2026-11-30 12:1")
    assert fake.requested["assets"] == 1


def test_events_of_dags_that_the_user_may_not_read_are_not_shown(show: Open, fake: FakeAirflow) -> None:
    fake.land("loads", 1)
    fake.land("trips", 1, dag="secret")
    fake.emit("/data/alvys/loads", 0.5, landing("loads", 0.5, tenant="hidden"), dag="secret")
    fake.asset("/data/alvys/fuel", "secret")
    fake.failed.append("secret")
    fake.dags = [dag for dag in fake.dags if dag["dag_id"] != "secret"]
    page = show()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(row(page, "loads")).to_be_visible()
    assert not re.search("secret|hidden|trips|fuel", page.locator("main").inner_text())


def test_a_tab_shows_only_its_dag(show: Open, fake: FakeAirflow) -> None:
    fake.land("loads", 1)
    fake.land("trips", 1, dag="other")
    fake.asset("/data/alvys/fuel", "other")
    page = show("/alvys/?dag=alvys_hourly")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("#about")).to_contain_text("DAG alvys_hourly")
    assert fake.requested["assets/events"] == 1


def test_a_script_in_a_name_is_shown_as_text(show: Open, fake: FakeAirflow) -> None:
    script = "<img src=x onerror=\"document.body.dataset.hacked='1'\"><script>1</script>"
    fake.land("loads", 1.6, tenant=script, dag=script, manifest=f"javascript:{script}")
    fake.add_dag("alvys_hourly")
    fake.emit("/data/alvys/loads", 1.6, landing("loads", 1.6, stream=script))
    fake.check("loads", 1, 3, tenant=script)
    fake.checks[0]["value"]["examples"] = [script]
    page = show()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody").get_by_text(script, exact=True).first).to_be_visible()
    assert page.locator("body").get_attribute("data-hacked") is None
    expect(page.locator("main img, main script")).to_have_count(0)
    for href in page.locator("main a").evaluate_all("links => links.map((link) => link.href)"):
        assert href.startswith("http")


ANYTHING: list[Any] = [None, "abc", -1, 1e308, [], {"a": 1}, True, "2026-13-45T99:00:00Z"]


@pytest.mark.parametrize("value", ANYTHING, ids=repr)
def test_values_of_any_type_leave_the_rest_as_it_is(show: Open, fake: FakeAirflow, value: Any) -> None:
    fake.land("loads", 1)
    fake.load("loads", 0.9)
    fake.check("loads", 1, 0)
    for name in landing("loads", 1):
        fake.land("trips", 1)
        fake.land("trips", 0.9, **{name: value}) if name not in ("path", "stream") else fake.emit(
            "/data/alvys/trips", 0.9, {**landing("trips", 0.9), name: value}
        )
    for name in ("changed", "seconds", "path"):
        fake.load("trips", 0.9, **{name: value})
    for name in ("stream", "tenant", "verdict", "differences", "examples"):
        fake.check("trips", 0.9, 0)
        fake.checks[-1]["task_id"] = name
        fake.checks[-1]["value"][name] = value
    fake.check("trips", 0.8, 0)
    fake.checks[-1]["value"] = value
    page = show()
    loads = row(page, "loads")
    expect(loads.locator(".freshness .pill")).to_have_text("fresh")
    expect(loads.locator(".check .pill")).to_have_text("same")
    expect(row(page, "trips").locator(".freshness .pill").first).to_have_text("fresh")
    for text in ("NaN", "undefined", "[object"):
        expect(page.locator("main")).not_to_contain_text(text)


def test_what_cannot_be_read_is_named_and_hides_nothing_else(show: Open, fake: FakeAirflow) -> None:
    fake.land("loads", 1)
    for number, name in enumerate(("100%", "%zz")):
        fake.emit(f"s3://others/{name}", number, {})
    fake.check("loads", 1, 0)
    fake.check("trips", 2, 0)
    fake.refusals["dags/alvys_check/dagRuns/run-2/taskInstances/check_trips/xcomEntries/alvys_check"] = 500
    page = show(is_refused=True)
    expect(row(page, "loads").locator(".check .pill")).to_have_text("same")
    expect(page.locator("#about")).to_contain_text("1 of 2 checks could not be read")


def test_assets_of_others_with_the_name_of_a_stream_are_not_shown(show: Open, fake: FakeAirflow) -> None:
    fake.land("loads", 1)
    fake.add_dag("crm")
    fake.emit("s3://crm/customers", 500, {"rows": 5}, dag="crm")
    fake.failed.append("crm")
    page = show()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("#notices").get_by_role("heading")).to_have_count(0)


def test_a_load_may_read_files_by_another_connection(show: Open, fake: FakeAirflow) -> None:
    fake.load("loads", 2, path="s3://reader@bucket/alvys")
    fake.land("loads", 1, path="s3://bucket/alvys")
    fake.land("trips", 1, tenant="\u6771\u4eac/" + "x" * 300, path="s3://writer@bucket/alvys")
    fake.load("trips", 0.9, path="s3://bucket/alvys")
    page = show()
    expect(row(page, "loads").locator(".backlog")).to_have_text("1")
    expect(page.locator('tr[data-stream="trips"] .backlog')).to_have_text("0")


def test_failed_dags_that_are_not_listed_are_counted(show: Open, fake: FakeAirflow) -> None:
    for number in range(101):
        fake.add_dag(f"a_{number}")
        fake.failed.append(f"a_{number}")
    fake.land("loads", 1)
    expect(show().locator("#about")).to_contain_text("More than 100 DAGs have failed")


def test_a_stream_whose_dag_was_renamed_is_shown(show: Open, fake: FakeAirflow) -> None:
    fake.asset("/data/alvys/loads", "renamed")
    fake.add_dag("renamed")
    fake.land("loads", 9)
    fake.dags = [dag for dag in fake.dags if dag["dag_id"] == "renamed"]
    page = show()
    expect(row(page, "loads", "\u2013").locator(".freshness .pill")).to_have_text("never")


def test_the_card_counts_only_streams_of_alvys(judging: Page, app: TestClient) -> None:
    fake = FakeAirflow(app)
    fake.land("loads", 1)
    fake.asset("/data/alvys/trips")
    fake.emit("s3://crm/customers", 500, {"rows": 5})
    fake.asset("s3://crm/users")
    fake.asset("/data/new/fuel")
    judging.unroute_all()
    fake.serve(judging)
    found = judging.evaluate(
        """async ([base, streams]) => {
          const {Api, keepOwn, readAssets} = await import("./api.js");
          const api = new Api(base);
          const {assets} = await readAssets(api, streams);
          return (await keepOwn(api, assets)).map(({uri}) => uri).sort();
        }""",
        [f"{URL}/", dict.fromkeys(STREAMS)],
    )
    assert found == ["/data/alvys/loads", "/data/alvys/trips", "/data/new/fuel"]


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("assets", 401, "log in to Airflow again"),
        ("dags", 403, "ask an administrator"),
        ("assets", 500, "in a minute"),
    ],
)
def test_a_refusal_says_what_to_do(show: Open, fake: FakeAirflow, path: str, status: int, text: str) -> None:
    fake.refusals[path] = status
    page = show(expected="failed", is_refused=True)
    expect(page.get_by_role("alert")).to_contain_text(f"Airflow answered {status}")
    expect(page.get_by_role("alert")).to_contain_text(text)


def test_without_the_right_to_read_xcoms_the_rest_is_shown(show: Open, fake: FakeAirflow) -> None:
    fake.land("loads", 1)
    fake.refusals["dags/~/dagRuns/~/taskInstances/~/xcomEntries"] = 403
    page = show(is_refused=True)
    expect(page.locator("#about")).to_contain_text("You may not read XComs")
    expect(row(page, "loads")).to_be_visible()


def test_the_table_is_sorted_by_keyboard(show: Open, fake: FakeAirflow) -> None:
    for stream, rows in (("loads", 5), ("trips", 900), ("fuel", 30)):
        fake.land(stream, 1, rows=rows)
    page = show()
    streams = page.locator("tbody th .name")
    expect(streams).to_have_text(["fuel", "loads", "trips"])
    for name in ("Find", "Only what needs attention"):
        page.keyboard.press("Tab")
        while page.evaluate("document.activeElement.closest('#notices') !== null"):
            page.keyboard.press("Tab")
        expect(page.get_by_label(name)).to_be_focused()
    for name in ("Stream", "Freshness", "Rows"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name=name, exact=True)).to_be_focused()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    expect(streams).to_have_text(["trips", "fuel", "loads"])
    header = page.get_by_role("columnheader", name="Rows")
    expect(header).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("Enter")
    expect(streams).to_have_text(["loads", "fuel", "trips"])
    expect(page.get_by_role("button", name="Rows", exact=True)).to_be_focused()
    # Also after the next refresh.
    page.clock.fast_forward(61_000)
    expect(page.locator("#about")).to_contain_text("read at 2026-11-30 12:01")
    expect(page.get_by_role("button", name="Rows", exact=True)).to_be_focused()


def test_nothing_is_cut_off_on_a_phone(show: Open, fake: FakeAirflow) -> None:
    long = "a_dag_with_a_name_that_is_as_long_as_" + "names_get_" * 20
    fill(fake, sorted(STREAMS)[:4])
    fake.land("loads", 2, dag=long, tenant="tenant_" * 30)
    page = show(viewport=PHONE, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    expect(page.get_by_role("rowheader")).to_have_count(5)
    for cell in page.locator("tbody td, tbody th").all():
        box = cell.bounding_box()
        assert box
        assert 0 <= box["x"] <= PHONE["width"] - box["width"]


def test_text_is_readable_in_both_themes(show: Open, fake: FakeAirflow) -> None:
    fake.land("loads", 1.6, proof="open")
    fake.land("trips", 1)
    fake.land("loads", 1.9)
    for scheme in ("light", "dark"):
        page = show(color_scheme=scheme)
        for selector in (".small", ".pill.ok", ".pill.bad", "a", "td", "thead button", ".advice"):
            ratio = page.locator(selector).first.evaluate(CONTRAST)
            assert ratio >= 4.5, (scheme, selector, ratio)


# The contrast of an element's text with the page, as WCAG defines it.
CONTRAST = """(element) => {
  const luminance = (color) => {
    const context = document.createElement("canvas").getContext("2d");
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = luminance(getComputedStyle(document.body).backgroundColor);
  const text = luminance(getComputedStyle(element).color);
  return (Math.max(page, text) + 0.05) / (Math.min(page, text) + 0.05);
}"""


def test_the_pictures_of_the_docs(show: Open, fake: FakeAirflow) -> None:
    fill(fake, ["loads", "trips", "invoices", "drivers", "fuel", "tenders"])
    fake.land("invoices", 0.2, dag="alvys_acme", proof="open")
    fake.land("carriers", 40, dag="alvys_daily", cadence=86400)
    fake.check("loads", 4, 0)
    fake.check("trips", 4, 3)
    save_picture(show(), "status-page")
    page = show(viewport=PHONE, color_scheme="dark")
    page.locator("tbody").evaluate("body => body.scrollIntoView()")
    save_picture(page, "status-page-phone")
