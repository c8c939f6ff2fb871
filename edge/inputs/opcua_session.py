"""What is asked of an OPC UA server: a client, units and ranges, a subscription.

Every call takes many nodes at once, in portions that servers admit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.errors import EdgeError
from edge.registry import Sensor
from edge.settings import OpcUaNode, OpcUaSecurity, OpcUaSettings
from udfs.catalogue import join_tags

try:
    from asyncua import Client, ua
    from asyncua.client.ua_session import UaSession
    from asyncua.crypto import security_policies, uacrypto
    from cryptography import x509
except ImportError as error:
    raise EdgeError(
        f"opcua: {error.name} is not installed; "
        "run pip install --require-hashes -r edge/requirements-opcua.txt"
    ) from None

Published = Callable[[Any], Awaitable[None]]

# of the limits that servers set by themselves, the smallest that is common
PORTION = 500
KEEP_ALIVE_S = 5.0
# how long the server keeps what belonged to a lost connection: it admits only so many of them
SESSION_S = 60.0
REQUEST_S = 10.0


def node_ids(nodes: Sequence[OpcUaNode]) -> list[ua.NodeId]:
    """Raises: EdgeError: one line for each that is not written as a node id."""
    found, problems = [], []
    for node in nodes:
        try:
            found.append(ua.NodeId.from_string(node.node))
        except (ua.UaError, ValueError):
            problems.append(f'opcua: "{node.node}" is no node id; write it as ns=2;s=Pump1.Flow')
    if problems:
        raise EdgeError("\n".join(problems))
    return found


async def client(settings: OpcUaSettings) -> Client:
    """A client that is not connected yet; files are read now, so that renewed ones are used.

    Raises: EdgeError: a file cannot be read, or is not what it should be.
    """
    made = Client(settings.url, timeout=REQUEST_S, watchdog_intervall=KEEP_ALIVE_S)
    made.session_timeout = int(SESSION_S * 1000)
    if settings.username is not None:
        made.set_user(settings.username)
    try:
        if settings.password_file is not None:
            made.set_password(settings.password_file.read_text().rstrip("\r\n"))
        if settings.security is not None:
            await _secure(made, settings.security)
    except OSError as error:
        raise EdgeError(f"{error.filename}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise EdgeError(f"opcua: certificate or key of {settings.url}: {error}") from None
    return made


async def _secure(made: Client, security: OpcUaSecurity) -> None:
    uri = _application_uri(security.certificate)
    if uri is None:
        raise EdgeError(
            f"{security.certificate}: has no URI among its alternative names; "
            "OPC UA servers refuse such a certificate"
        )
    made.application_uri = uri
    await made.set_security(
        getattr(security_policies, f"SecurityPolicy{security.policy}"),
        certificate=_file(security.certificate),
        private_key=_file(security.key),
        server_certificate=_file(security.server_certificate),
        mode=ua.MessageSecurityMode[security.mode],
    )


def _file(path: Path) -> uacrypto.CertProperties:
    """With its kind by content: the library goes by the name, and takes a PEM "x.key" for DER."""
    data = path.read_bytes()
    return uacrypto.CertProperties(data, "pem" if _is_pem(data) else "der")


def _is_pem(data: bytes) -> bool:
    return data.startswith(b"-----")


def _application_uri(path: Path) -> str | None:
    data = path.read_bytes()
    load = x509.load_pem_x509_certificate if _is_pem(data) else x509.load_der_x509_certificate
    try:
        found = load(data).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    uris = found.value.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if uris else None


async def create_subscription(
    session: UaSession, settings: OpcUaSettings, published: Published
) -> int:
    """Its id. `published` gets what each publishing brought; the next is not asked for before."""
    keep_alive = max(1, int(KEEP_ALIVE_S * 1000 / settings.publishing_ms))
    request = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=settings.publishing_ms,
        RequestedMaxKeepAliveCount=keep_alive,
        RequestedLifetimeCount=max(3 * keep_alive, int(SESSION_S * 1000 / settings.publishing_ms)),
        MaxNotificationsPerPublish=10_000,
        PublishingEnabled=True,
    )
    return int((await session.create_subscription(request, published)).SubscriptionId)


def content(message: Any) -> tuple[list[Any], str]:
    """Monitored item notifications, and why the server ended the subscription, empty if not."""
    items: list[Any] = []
    ended = ""
    for data in message.NotificationData or ():
        if isinstance(data, ua.DataChangeNotification):
            items += data.MonitoredItems
        elif isinstance(data, ua.StatusChangeNotification):
            ended = data.Status.name
    return items, ended


async def monitor(
    session: UaSession, subscription: int, settings: OpcUaSettings, nodes: dict[int, ua.NodeId]
) -> dict[int, str]:
    """Subscribe to nodes, by their place. Returns: why not, for those that the server refuses."""
    problems: dict[int, str] = {}
    for portion in _portions(list(nodes)):
        items = [_item(place, nodes[place], settings) for place in portion]
        request = ua.CreateMonitoredItemsParameters(
            subscription, ua.TimestampsToReturn.Both, ItemsToCreate=items
        )
        answers = await session.create_monitored_items(request)
        for place, answer in zip(portion, answers, strict=True):
            if not answer.StatusCode.is_good():
                problems[place] = answer.StatusCode.name
    return problems


def _item(place: int, node: ua.NodeId, settings: OpcUaSettings) -> ua.MonitoredItemCreateRequest:
    parameters = ua.MonitoringParameters(
        ClientHandle=place,
        SamplingInterval=settings.sampling_ms or settings.publishing_ms,
        QueueSize=settings.queue_size,
        DiscardOldest=True,
    )
    value = ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value)
    return ua.MonitoredItemCreateRequest(value, ua.MonitoringMode.Reporting, parameters)


async def sensors(
    session: UaSession, nodes: Sequence[OpcUaNode], ids: Sequence[ua.NodeId]
) -> list[Sensor]:
    """The sensors of nodes, with unit and range as the server gives them; settings win."""
    found: list[Sensor] = []
    for portion in _portions(range(len(nodes))):
        few = [ids[at] for at in portion]
        ranges = await _property(session, few, "EURange")
        units = await _property(session, few, "EngineeringUnits")
        found += [
            _sensor(nodes[at], *said) for at, *said in zip(portion, ranges, units, strict=True)
        ]
    return found


def _sensor(node: OpcUaNode, limits: Any, unit: Any) -> Sensor:
    said = getattr(getattr(unit, "DisplayName", None), "Text", None) or ""
    sensor = Sensor(
        name=node.sensor,
        unit=node.unit or said,
        kind=node.kind,
        asset=node.asset,
        asset_type=node.asset_type or "",
        tags=join_tags(node.tags),
    )
    low, high = getattr(limits, "Low", 0), getattr(limits, "High", 0)
    # 0 and 0 is what many servers say for "not set"
    return replace(sensor, low=float(low), high=float(high)) if low < high else sensor


async def _property(session: UaSession, nodes: Sequence[ua.NodeId], name: str) -> list[Any]:
    """A property of each node; None where it has none, or the server does not tell."""
    step = ua.RelativePathElement(
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasProperty),
        IsInverse=False,
        IncludeSubtypes=True,
        TargetName=ua.QualifiedName(name, 0),
    )
    paths = [ua.BrowsePath(node, ua.RelativePath([step])) for node in nodes]
    values: list[Any] = [None] * len(nodes)
    try:
        answers = await session.translate_browsepaths_to_nodeids(paths)
        found = {at: a.Targets[0].TargetId for at, a in enumerate(answers) if a.Targets}
        if found:
            read = await session.read_attributes(list(found.values()), ua.AttributeIds.Value)
            for at, value in zip(found, read, strict=True):
                values[at] = None if value.Value is None else value.Value.Value
    except ua.UaError:
        return [None] * len(nodes)
    return values


def _portions(places: Sequence[int]) -> Iterator[Sequence[int]]:
    for begin in range(0, len(places), PORTION):
        yield places[begin : begin + PORTION]
