"""The nodes of a vision system in an OPC UA server: the official ones, or their like.

Enters: an asyncua server, and the NodeSet of OPC 40100-1 where its file is configured. Leaves: a
`Space` with the methods, states and event types found by their browse names, and the identifiers
as the standard's structures (or as texts). ``opcua.py`` brings it to life.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asyncua import Node, Server, ua
from asyncua.common.instantiate_util import instantiate

MACHINE_VISION = "http://opcfoundation.org/UA/MachineVision"
SYSTEM_TYPE, STATE_MACHINE_TYPE, AUTOMATIC_TYPE, ID_BASE = 1003, 1017, 1021, 3019
"""Numbers in the official namespace: VisionSystemType, its two state machines' types, and
BinaryIdBaseDataType."""
UNUSED = (
    "ConfigurationManagement/ConfigurationTransfer",
    "RecipeManagement/RecipeTransfer",
    "RecipeManagement/Products/<Product>",
    "RecipeManagement/AddRecipe",
    "RecipeManagement/RemoveRecipe",
    "RecipeManagement/UnprepareProduct",
    "RecipeManagement/UnlinkProduct",
    "ConfigurationManagement/AddConfiguration",
    "ConfigurationManagement/RemoveConfiguration",
    "ResultManagement/GetResultComponentsById",
    "ResultManagement/ResultTransfer",
    "SafetyStateManagement",
    "VisionStateMachine/ErrorStepModel",
    "VisionStateMachine/HaltedStepModel",
    "VisionStateMachine/PreoperationalStepModel",
    "VisionStateMachine/AutomaticModeStateMachine/ContinuousExecutionStepModel",
    "VisionStateMachine/AutomaticModeStateMachine/InitializedStepModel",
    "VisionStateMachine/AutomaticModeStateMachine/ReadyStepModel",
    "VisionStateMachine/AutomaticModeStateMachine/SingleExecutionStepModel",
)
"""Optional nodes that this station does not have: recipes and configurations that come from
outside (they are approved at the station, I7), step models, and safety (the station is no safety
function)."""

_CAUSE = (("Cause", "Int32"), ("CauseDescription", "String"))
_ERROR = (("Error", "Int32"),)
_START = (
    ("MeasId", "String"),
    ("PartId", "String"),
    ("RecipeId", "String"),
    ("ProductId", "String"),
    ("Parameters", "String"),
)
_RECIPE = (("ExternalId", "String"), ("InternalIdIn", "String"))
_PAGE = (("MaxResults", "UInt32"), ("StartIndex", "UInt32"), ("Timeout", "Int32"))
_LISTED = (("IsComplete", "Boolean"), ("ResultCount", "UInt32"))
Arguments = tuple[tuple[str, str], ...]
OWN: Mapping[str, Mapping[str, tuple[Arguments, Arguments]]] = {
    "VisionStateMachine": {
        "Halt": (_CAUSE, _ERROR),
        "Reset": (_CAUSE, _ERROR),
        "SelectModeAutomatic": ((), _ERROR),
        "ConfirmAll": ((("Comment", "LocalizedText"),), ()),
    },
    "VisionStateMachine/AutomaticModeStateMachine": {
        "StartSingleJob": (_START, (("JobId", "String"), *_ERROR)),
        "StartContinuous": (_START, (("JobId", "String"), *_ERROR)),
        "Stop": (_CAUSE, _ERROR),
        "Abort": (_CAUSE, _ERROR),
        "SimulationMode": ((("Activate", "Boolean"), *_CAUSE), _ERROR),
    },
    "RecipeManagement": {
        "PrepareRecipe": (
            _RECIPE,
            (("InternalIdOut", "String"), ("IsCompleted", "Boolean"), *_ERROR),
        ),
        "UnprepareRecipe": (
            _RECIPE,
            (("InternalIdOut", "String"), ("IsCompleted", "Boolean"), *_ERROR),
        ),
        "PrepareProduct": ((("ProductId", "String"),), (("InternalId", "String"), *_ERROR)),
        "GetRecipeListFiltered": (
            (("ExternalId", "String"), ("ProductId", "String"), ("IsPrepared", "Int32"), *_PAGE),
            (*_LISTED, ("RecipeHandle", "UInt32"), ("RecipeList", "String"), *_ERROR),
        ),
        "ReleaseRecipeHandle": ((("RecipeHandle", "UInt32"),), _ERROR),
    },
    "ConfigurationManagement": {
        "GetConfigurationList": (
            _PAGE,
            (
                *_LISTED,
                ("ConfigurationHandle", "UInt32"),
                ("ConfigurationList", "String"),
                *_ERROR,
            ),
        ),
        "GetConfigurationById": (
            (("InternalId", "String"), ("Timeout", "Int32")),
            (("ConfigurationHandle", "UInt32"), ("Configuration", "String"), *_ERROR),
        ),
        "ActivateConfiguration": ((("InternalId", "String"),), _ERROR),
        "ReleaseConfigurationHandle": ((("ConfigurationHandle", "UInt32"),), _ERROR),
    },
    "ResultManagement": {
        "GetResultById": (
            (("ResultId", "String"), ("Timeout", "Int32")),
            (("ResultHandle", "UInt32"), ("Result", "String"), *_ERROR),
        ),
        "GetResultListFiltered": (
            (
                ("ResultState", "Int32"),
                *(
                    (name, "String")
                    for name in (
                        "MeasId", "PartId", "ExternalRecipeId", "InternalRecipeId",
                        "ExternalConfigurationId", "InternalConfigurationId", "ProductId", "JobId",
                    )
                ),
                *_PAGE,
            ),
            (*_LISTED, ("ResultHandle", "UInt32"), ("ResultList", "String"), *_ERROR),
        ),
        "ReleaseResultHandle": ((("ResultHandle", "UInt32"),), _ERROR),
    },
}  # fmt: skip
"""Without the official file: each object, its methods, and their inputs and outputs. Structures
of the standard are texts here: an identifier is its ``Id``, a result or a list is JSON."""
EVENTS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "ResultReadyEventType": (1024, (
        "ResultId", "JobId", "PartId", "MeasId", "InternalRecipeId", "ExternalRecipeId",
        "ProductId", "ResultContent",
    )),
    "RecipePreparedEventType": (1022, ("InternalId", "ExternalId", "ProductId")),
    "JobStartedEventType": (1013, ("JobId",)),
    "ReadyEventType": (1023, ("JobId",)),
    "StateChangedEventType": (1018, ()),
}  # fmt: skip
"""Each event's number in the official namespace, and its fields without the official file."""
_SHARED = {
    "RecipeIdExternalDataType": 3002,
    "RecipeIdInternalDataType": 3013,
    "ConfigurationIdDataType": 3008,
}


@dataclass(slots=True)
class Space:
    """One vision system's nodes."""

    server: Server
    index: int
    """Of the station's own namespace."""
    official: bool
    root: Node
    machine: Node
    """The vision state machine."""
    automatic: Node
    """The automatic mode's."""
    states: dict[str, ua.NodeId] = field(default_factory=dict)
    """Each state's node in its type, by browse name; empty without the official file."""
    events: dict[str, Any] = field(default_factory=dict)
    """Generators by the browse name of the event's type."""

    def id(self, kind: str, text: str, **more: Any) -> Any:
        """An identifier: ``ua.<kind>DataType`` (official), or its text."""
        return self.structure(f"{kind}DataType", Id=text, **more) if self.official else text

    def structure(self, name: str, **fields: Any) -> Any:
        """The structure ``name`` of the standard with these fields."""
        made = getattr(ua, name)()
        for key, value in fields.items():
            setattr(made, key, value)
        return made

    def variant(self, value: Any) -> ua.Variant:
        """``value`` as an answer's element: structures (official), or their text."""
        kind = ua.VariantType.ExtensionObject if self.official else ua.VariantType.String
        return ua.Variant(value, kind)

    async def link(self, path: str, method: Callable[..., Any]) -> None:
        """Have ``method`` answer calls of the method at ``path``."""
        self.server.link_method(await find(self.root, path), method)


async def build(server: Server, uri: str, name: str, nodeset: Path | None) -> Space:
    """A vision system called ``name`` under Objects, in the namespace ``uri``."""
    if nodeset is not None:
        await server.import_xml(str(nodeset))
    index = await server.register_namespace(uri)
    space = await (_official if nodeset else _like)(server, index, name)
    for kind in EVENTS:
        space.events[kind] = await _generator(space, kind)
    return space


async def find(root: Node, path: str) -> Node:
    """The node at ``path`` under ``root``, by browse names of whatever namespace."""
    node = root
    for name in path.split("/"):
        for child in await node.get_children():
            if (await child.read_browse_name()).Name == name:
                node = child
                break
        else:
            raise KeyError(f"{path}: there is no {name}")
    return node


def text_of(value: Any) -> str:
    """The text of an identifier, whichever way it came."""
    if value is None:
        return ""
    return str(getattr(value, "Id", value) or "")


async def _official(server: Server, index: int, name: str) -> Space:
    ns = await server.get_namespace_index(MACHINE_VISION)
    await _tell_apart(server, ns)
    kind = server.get_node(ua.NodeId(SYSTEM_TYPE, ns))
    (root, *_) = await instantiate(
        server.nodes.objects, kind, bname=ua.QualifiedName(name, index),
        dname=ua.LocalizedText(name), idx=index,
    )  # fmt: skip
    for path in UNUSED:
        await server.delete_nodes([await find(root, path)], recursive=True)
    machine = await find(root, "VisionStateMachine")
    space = Space(
        server, index, True, root, machine, await find(machine, "AutomaticModeStateMachine")
    )
    for number in (STATE_MACHINE_TYPE, AUTOMATIC_TYPE):
        for child in await server.get_node(ua.NodeId(number, ns)).get_children():
            space.states[str((await child.read_browse_name()).Name)] = child.nodeid
    return space


async def _tell_apart(server: Server, ns: int) -> None:
    """Identifiers that inherit their layout: asyncua would send them under their base's type id,
    and a client finds no definition of their own, which OPC 10000-3, 8.48, asks for."""
    base = server.get_node(ua.NodeId(ID_BASE, ns))
    definition = (await base.read_attribute(ua.AttributeIds.DataTypeDefinition)).Value.Value
    for name, number in _SHARED.items():
        node = server.get_node(ua.NodeId(number, ns))
        for encoding in await node.get_referenced_nodes(refs=ua.ObjectIds.HasEncoding):
            if (await encoding.read_browse_name()).Name == "Default Binary":
                own = type(name, (ua.BinaryIdBaseDataType,), {})
                delattr(ua, name)
                defined = replace(
                    definition, DefaultEncodingId=encoding.nodeid, BaseDataType=base.nodeid
                )
                value = ua.DataValue(ua.Variant(defined, ua.VariantType.ExtensionObject))
                await node.write_attribute(ua.AttributeIds.DataTypeDefinition, value)
                ua.register_extension_object(name, encoding.nodeid, own, node.nodeid)


async def _like(server: Server, index: int, name: str) -> Space:
    root = await server.nodes.objects.add_object(index, name)
    objects: dict[str, Node] = {"": root}
    for path, methods in OWN.items():
        parent, _, last = path.rpartition("/")
        here = objects[path] = await objects[parent].add_object(index, last)
        for method, (inputs, outputs) in methods.items():
            await here.add_method(
                index, method, _nothing, [_argument(*a) for a in inputs],
                [_argument(*a) for a in outputs],
            )  # fmt: skip
    machine = objects["VisionStateMachine"]
    automatic = objects["VisionStateMachine/AutomaticModeStateMachine"]
    for node in (machine, automatic):
        state = await node.add_variable(index, "CurrentState", ua.LocalizedText(""))
        await state.add_property(index, "Id", ua.NodeId())
    state = ua.Variant("", ua.VariantType.String)
    await root.add_variable(index, "SystemState", state)
    return Space(server, index, False, root, machine, automatic)


async def _nothing(parent: ua.NodeId, *arguments: Any) -> ua.StatusCode:
    return ua.StatusCode(ua.StatusCodes.BadNotImplemented)


def _argument(name: str, kind: str) -> ua.Argument:
    return ua.Argument(
        Name=name, DataType=ua.NodeId(getattr(ua.ObjectIds, kind)), ValueRank=ua.ValueRank.Scalar
    )


async def _generator(space: Space, name: str) -> Any:
    server = space.server
    number, texts = EVENTS[name]
    if space.official:
        ns = await server.get_namespace_index(MACHINE_VISION)
        kind: Any = server.get_node(ua.NodeId(number, ns))
    else:
        fields = [(each, ua.VariantType.String) for each in texts]
        kind = await server.create_custom_event_type(space.index, name, properties=fields)
    return await server.get_event_generator(kind, space.root)
