"""The JSON schema of what an audit writes, made from the models that write it."""

from __future__ import annotations

import json

from pydantic.json_schema import models_json_schema

from whycad.audit.findings import SCHEMA_VERSION, Audit, CheckResult

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def audit_schema() -> str:
    """Return the schema of ``audit.json`` and of ``checks/<id>.json`` as JSON text."""
    references, body = models_json_schema([(Audit, "validation"), (CheckResult, "validation")])
    schema = {
        "$schema": DIALECT,
        "title": f"WhyCAD audit, schema version {SCHEMA_VERSION}",
        "description": "audit.json holds an Audit, and each checks/<id>.json a CheckResult.",
        "oneOf": [references[Audit, "validation"], references[CheckResult, "validation"]],
        "$defs": body["$defs"],
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
