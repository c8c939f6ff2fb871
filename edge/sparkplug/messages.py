"""The Sparkplug B payload as protobuf messages, built from the field numbers of specification 3.0.

    payload = Payload(seq=3)
    payload.metrics.add(alias=7, timestamp=now_ms, double_value=21.5)
    data = payload.SerializeToString()

Only what the gateway reads or writes is declared; other fields pass through as unknown ones.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "hardiot.sparkplug"
_TYPES = {
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "float": FieldDescriptorProto.TYPE_FLOAT,
    "string": FieldDescriptorProto.TYPE_STRING,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
    "uint64": FieldDescriptorProto.TYPE_UINT64,
}
# message -> lines of "number name type"; * is repeated, = a member of the oneof `value`
_MESSAGES = {
    "Payload": "1 timestamp uint64, 2 *metrics Metric, 3 seq uint64, 4 uuid string, 5 body bytes",
    "Metric": (
        "1 name string, 2 alias uint64, 3 timestamp uint64, 4 datatype uint32, "
        "5 is_historical bool, 6 is_transient bool, 7 is_null bool, 9 properties PropertySet, "
        "10 =int_value uint32, 11 =long_value uint64, 12 =float_value float, "
        "13 =double_value double, 14 =boolean_value bool, 15 =string_value string, "
        "16 =bytes_value bytes, 17 =dataset_value Opaque, 18 =template_value Opaque, "
        "19 =extension_value Opaque"
    ),
    "PropertySet": "1 *keys string, 2 *values PropertyValue",
    "PropertyValue": (
        "1 type uint32, 2 is_null bool, 3 =int_value uint32, 4 =long_value uint64, "
        "5 =float_value float, 6 =double_value double, 7 =boolean_value bool, "
        "8 =string_value string, 9 =propertyset_value PropertySet, 10 =propertysets_value Opaque, "
        "11 =extension_value Opaque"
    ),
    "Opaque": "",
}


class DataType(IntEnum):
    """Data types of metrics and properties, by their numbers on the wire."""

    INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64 = range(1, 9)
    FLOAT, DOUBLE, BOOLEAN, STRING, DATETIME, TEXT = range(9, 15)
    INT8_ARRAY, INT16_ARRAY, INT32_ARRAY, INT64_ARRAY = range(22, 26)
    UINT8_ARRAY, UINT16_ARRAY, UINT32_ARRAY, UINT64_ARRAY = range(26, 30)
    FLOAT_ARRAY, DOUBLE_ARRAY = range(30, 32)


def _message(name: str, fields: str) -> DescriptorProto:
    made = DescriptorProto(name=name)
    for text in filter(None, fields.split(", ")):
        number, label, kind = text.split()
        field = made.field.add(name=label.lstrip("*="), number=int(number))
        repeated = label.startswith("*")
        field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
        if kind in _TYPES:
            field.type = _TYPES[kind]
        else:
            field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
        if label.startswith("="):
            if not made.oneof_decl:
                made.oneof_decl.add(name="value")
            field.oneof_index = 0
    return made


def _payload_class() -> Any:
    """In a pool of our own: another library may have declared Sparkplug in the common one."""
    file = FileDescriptorProto(name="hardiot/sparkplug.proto", package=_PACKAGE, syntax="proto2")
    file.message_type.extend(_message(name, fields) for name, fields in _MESSAGES.items())
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


Payload: Any = _payload_class()
