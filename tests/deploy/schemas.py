# SPDX-License-Identifier: Apache-2.0
"""JSON schemas for kubeconform from an API server's own /openapi/v3: as strict as it is about names of fields, without a network."""

import json
import pathlib

# As kubeconform puts a kind into a file's name.
LOCATION = "{{.ResourceKind}}_{{.Group}}_{{.ResourceAPIVersion}}.json"


def strict(schema):
    """The schema with no property allowed that it does not name; recursively, in place."""
    if isinstance(schema, dict):
        if "properties" in schema and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
        for each in schema.values():
            strict(each)
    elif isinstance(schema, list):
        for each in schema:
            strict(each)
    return schema


def write(folder, get, groups):
    """Writes a file for each kind of the groups ("api/v1", "apis/apps/v1"). get(path) fetches JSON. Returns their number."""
    paths = get("/openapi/v3")["paths"]
    written = 0
    for group in groups:
        document = get(paths[group]["serverRelativeURL"])
        components = strict(document["components"])
        for name, schema in components["schemas"].items():
            for kind in schema.get("x-kubernetes-group-version-kind", []):
                # For kubeconform the core group is called as its version.
                file = "%s_%s_%s.json" % (kind["kind"].lower(), kind["group"] or kind["version"], kind["version"])
                if kind["group"] in ("", *(each.split("/")[1] for each in groups if each.startswith("apis/"))):
                    root = {"$ref": "#/components/schemas/" + name, "components": components}
                    pathlib.Path(folder, file).write_text(json.dumps(root))
                    written += 1
    return written
