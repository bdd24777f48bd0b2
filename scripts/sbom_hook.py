"""Write a software bill of materials (CycloneDX) into the wheel, below ``.dist-info/sboms/`` (PEP 770)."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot7
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REFERENCES = {
    "Homepage": ExternalReferenceType.WEBSITE,
    "Documentation": ExternalReferenceType.DOCUMENTATION,
    "Source": ExternalReferenceType.VCS,
    "Issues": ExternalReferenceType.ISSUE_TRACKER,
    "Changelog": ExternalReferenceType.RELEASE_NOTES,
}


class SbomBuildHook(BuildHookInterface[Any]):
    """Add the bill of materials to the files of a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file, except for an editable installation."""
        if version == "editable":
            return
        self._folder = TemporaryDirectory()
        file = Path(self._folder.name, f"{self.metadata.core.name}.cdx.json")
        file.write_text(JsonV1Dot7(describe(self.metadata)).output_as_string(indent=2) + "\n")
        build_data["sbom_files"].append(str(file))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the file, which is in the wheel now."""
        if version != "editable":
            self._folder.cleanup()


def describe(metadata: Any) -> Bom:
    """
    Return the bill: the package and what it asks for, of which the wheel contains nothing.

    It has no timestamp, and its serial number depends on the name and version only: builds are reproducible.
    """
    core = metadata.core
    root = Component(
        name=core.name,
        version=metadata.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"pkg:pypi/{core.name}@{metadata.version}",
        purl=PackageURL("pypi", name=core.name, version=metadata.version),
        description=core.description,
        licenses=[LicenseFactory().make_with_expression(core.license_expression)],
        external_references=[
            ExternalReference(type=REFERENCES[name], url=XsUri(url)) for name, url in core.urls.items()
        ],
    )
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, str(root.purl)))
    bom.metadata.timestamp = None  # type: ignore[assignment]
    bom.metadata.component = root
    asked_for = [(text, ComponentScope.REQUIRED) for text in core.dependencies]
    for requirements in core.optional_dependencies.values():
        asked_for += [(text, ComponentScope.OPTIONAL) for text in requirements]
    parts: dict[str, Component] = {}
    for text, scope in asked_for:
        name = canonicalize_name(Requirement(text).name)
        if name not in parts and name != core.name:
            purl = PackageURL("pypi", name=name)
            parts[name] = Component(
                name=name,
                type=ComponentType.LIBRARY,
                bom_ref=str(purl),
                purl=purl,
                scope=scope,
                is_external=True,
                description=f"Requirement: {text}",
            )
    for part in parts.values():
        bom.components.add(part)
    bom.register_dependency(root, parts.values())
    return bom
