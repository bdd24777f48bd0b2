"""Operations that upload documents."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.operation_spec import Field, Operation, Upload

_WITH_GIF = ("application/pdf", "image/jpeg", "image/png", "image/gif")
_FLEET_TYPES = (
    "Motor Vehicle Record",
    "Vehicle Image",
    "Inspection Certificate",
    "Certificate of Insurance (COI)",
    "Insurance Certificate",
    "Other Documents",
)
_SIZE = "The maximum is 25 MB by the page and 10 MB by the OpenAPI file: above 10 MB, Alvys may answer 413"
_GIF = "GIF is allowed by the page but not by the OpenAPI file: Alvys may answer 415"


def _upload(
    parent: str, key: str, scope: str, upload: Upload, *notes: str, scope_is_documented: bool = False
) -> Operation:
    return Operation(
        name=f"{parent}_documents.upload",
        description=f"Upload a document of a {parent}",
        method="POST",
        path=f"{parent}s/{{{key}}}/document",
        scope=scope,
        scope_is_documented=scope_is_documented,
        body=(Field("DocumentType", required=True, values=upload.document_types), Field("FileName")),
        upload=upload,
        secrets=("DownloadUrl",),
        retry_safety="unsafe",
        retry_reason="Each upload creates another document",
        check=f"look for a new {{DocumentType}} among the documents of the {parent} {{{key}}}",
        notes=notes,
    )


OPERATIONS = (
    _upload(
        "load",
        "loadNumber",
        "load:update",
        Upload(
            document_types=(
                "Customer Rate and Load Confirmation",
                "Customer Load Confirmation",
                "Customer Rate Confirmation",
                "Signed Customer Rate Confirmation",
                "Proof of Delivery",
                "Proof of Pickup",
                "Bill of Lading",
                "Shipping Labels",
            ),
            media_types=_WITH_GIF,
        ),
        _SIZE,
        _GIF,
    ),
    _upload(
        "trip",
        "tripId",
        "trip:update",
        Upload(
            document_types=(
                "Proof of Delivery",
                "Bill of Lading",
                "Carrier Rate Confirmation",
                "Load Manifest",
                "Trip Report",
                "Temp. Log",
                "Proof of Pickup",
                "Scale Ticket",
                "Notice of Assignment",
                "NOA",
                "Shipping Labels",
                # The page's spelling.
                "Proof of Delivery (POD)",
                "Bill of Lading (BOL)",
                "Notice of Assignment (NOA)",
            ),
            media_types=_WITH_GIF,
        ),
        "Some types have two spellings, both allowed; Alvys refuses Carrier Invoice and Trip Manifest",
        "tripId is the trip's Id, not its number",
        _GIF,
    ),
    _upload(
        "carrier",
        "carrierId",
        "carrier:update",
        Upload(
            document_types=(
                "Carrier Agreement",
                "Carrier Application",
                "Carrier Authority",
                "Carrier Onboarding",
                "Other Documents",
            ),
            media_types=_WITH_GIF,
        ),
        _SIZE,
        _GIF,
        scope_is_documented=True,
    ),
    _upload(
        "driver",
        "driverId",
        "driver:update",
        Upload(
            document_types=(
                "License",
                "Medical",
                "Driver License",
                "Driver Sheet",
                "Drug Test",
                "Operating Authority",
                "Completed W9 Tax Form (W9 Form)",
                "Other Documents",
                # The page's spelling.
                "DriverLicense",
                "DriverSheet",
            ),
            media_types=_WITH_GIF,
        ),
        "Some types have two spellings, both allowed",
        _SIZE,
        _GIF,
    ),
    _upload("truck", "truckId", "truck:update", Upload(document_types=_FLEET_TYPES), _SIZE),
    _upload("trailer", "trailerId", "trailer:update", Upload(document_types=_FLEET_TYPES), _SIZE),
)
