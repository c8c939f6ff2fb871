"""Bring a table in the catalog to what its spec says, by steps that lose nothing.

A column can be added, may become optional, and may become wider (int to long). Everything else
wants a person: it is refused, all of a table at once. Properties that somebody set are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError, TableAlreadyExistsError
from pyiceberg.table import Table
from pyiceberg.types import (
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
)

from jobs.lake.errors import LakeError
from jobs.lake.spec import TableSpec

_WIDER = {(IntegerType(), LongType()), (FloatType(), DoubleType())}

Identifier = tuple[str, str]


def create_or_evolve(catalog: Catalog, identifier: Identifier, spec: TableSpec) -> list[str]:
    """Returns: what was done. Raises: LakeError: what the table has, and what it ought to have."""
    name = ".".join(identifier)
    try:
        table = catalog.load_table(identifier)
    except NoSuchTableError:
        if _create(catalog, identifier, spec):
            return [f"{name}: made"]
        table = catalog.load_table(identifier)
    if wrong := list(_mistakes(table, spec)):
        raise LakeError("\n".join(f"{name}: {line}" for line in wrong))
    return [f"{name}: {line}" for line in _evolve(table, spec)]


def _create(catalog: Catalog, identifier: Identifier, spec: TableSpec) -> bool:
    """False: somebody else was faster."""
    try:
        catalog.create_table(
            identifier,
            schema=spec.schema(),
            partition_spec=spec.partition_spec(),
            sort_order=spec.sort_order(),
            properties=spec.properties(),
        )
    except TableAlreadyExistsError:
        return False
    return True


def _mistakes(table: Table, spec: TableSpec) -> Iterator[str]:
    """What no step mends."""
    there = {field.name: field for field in table.schema().fields}
    wanted = {field.name: field for field in spec.schema().fields}
    for name, field in wanted.items():
        found = there.get(name)
        if found is None and field.required:
            yield f"column {name} is not there and cannot be added: rows need it"
        if found is not None and not _fits(found.field_type, field.field_type):
            yield f"column {name} is {found.field_type}, not {field.field_type}"
    for name in there.keys() - wanted.keys():
        if there[name].required:
            yield f"column {name} is required, and this version does not know it"
    if (parts := _partitions(table)) != dict(spec.partitions):
        yield f"partitions are {parts}, not {dict(spec.partitions)}"


def _fits(found: IcebergType, wanted: IcebergType) -> bool:
    """Whether it is the type, or can become it."""
    if isinstance(found, ListType) and isinstance(wanted, ListType):
        return not found.element_required and _fits(found.element_type, wanted.element_type)
    return found == wanted or (found, wanted) in _WIDER or (wanted, found) in _WIDER


def _partitions(table: Table) -> dict[str, str]:
    """Column to transform, as in `TableSpec.partitions`."""
    names = {field.field_id: field.name for field in table.schema().fields}
    return {
        names[part.source_id]: str(part.transform).replace("identity", "")
        for part in table.spec().fields
    }


def _evolve(table: Table, spec: TableSpec) -> list[str]:
    there = {field.name: field for field in table.schema().fields}
    wanted = spec.schema().fields
    added = [field for field in wanted if field.name not in there]
    known = [field for field in wanted if field.name in there]
    wider = [field for field in known if _widens(there[field.name], field)]
    looser = [field for field in known if there[field.name].required and not field.required]
    missing = {key: text for key, text in spec.properties().items() if key not in _settable(table)}
    if not (added or wider or looser or missing):
        return []
    with table.transaction() as transaction:
        with transaction.update_schema() as schema:
            for field in added:
                schema.add_column(field.name, field.field_type, field.doc)
            for field in wider:
                schema.update_column(field.name, field_type=field.field_type)
            for field in looser:
                schema.make_column_optional(field.name)
        if missing:
            transaction.set_properties(missing)
    return [
        *(f"column {field.name} added" for field in added),
        *(f"column {field.name} is {field.field_type} now" for field in wider),
        *(f"column {field.name} may be empty now" for field in looser),
        *(f"property {key} = {text}" for key, text in missing.items()),
    ]


def _widens(found: NestedField, wanted: NestedField) -> bool:
    return (found.field_type, wanted.field_type) in _WIDER


def _settable(table: Table) -> set[str]:
    """Properties that are there; the version of the format is no property once it is made."""
    return {*table.properties, "format-version"}
