// A SCADA system of another maker's making: browses by the official type id, drives the state
// machine, hears results, lives through a cut cable. One JSON line at its end.
const { OPCUAClient, SecurityPolicy, MessageSecurityMode, UserTokenType, AttributeIds, DataType,
  ClientSubscription, ClientMonitoredItem, constructEventFilter, TimestampsToReturn,
  Variant, resolveNodeId } = require("node-opcua-client");
const [url, user, password, folder] = process.argv.slice(2);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function main() {
  const client = OPCUAClient.create({
    applicationName: "foreign", securityMode: MessageSecurityMode.SignAndEncrypt,
    securityPolicy: SecurityPolicy.Basic256Sha256, endpointMustExist: false,
    connectionStrategy: { initialDelay: 200, maxDelay: 500, maxRetry: 20 },
    clientCertificateManager: undefined, requestedSessionTimeout: 60000,
  });
  let reconnected = 0;
  for (const heard of ["connection_reestablished", "after_reconnection"]) client.on(heard, () => { reconnected += 1; });
  await client.connect(url);
  const session = await client.createSession({ type: UserTokenType.UserName, userName: user, password });
  await session.extractNamespaceDataType();
  const namespaces = await session.readNamespaceArray();
  const ns = namespaces.indexOf("http://opcfoundation.org/UA/MachineVision");
  const objects = (await session.browse({ nodeId: "ns=0;i=85", resultMask: 63 })).references;
  const found = objects.find((r) => r.typeDefinition.toString() === `ns=${ns};i=1003`);
  async function at(path) {
    let node = found.nodeId;
    for (const name of path.split("/")) {
      const refs = (await session.browse({ nodeId: node, resultMask: 63 })).references;
      node = refs.find((r) => r.browseName.name === name).nodeId;
    }
    return node;
  }
  const automatic = "VisionStateMachine/AutomaticModeStateMachine";
  const state = async () => (await session.read({ nodeId: await at(`${automatic}/CurrentState`),
    attributeId: AttributeIds.Value })).value.value.text;
  async function until(wanted) {
    for (let i = 0; i < 100 && (await state()) !== wanted; i++) await wait(100);
    return state();
  }
  const states = [await until("ContinuousExecution")];
  const cause = [new Variant({ dataType: DataType.Int32, value: 1 }),
    new Variant({ dataType: DataType.String, value: "foreign" })];
  const stopped = await session.call({ objectId: await at(automatic),
    methodId: await at(`${automatic}/Stop`), inputArguments: cause });
  states.push(await until("Ready"));
  const ids = [[3015, "M-9"], [3004, ""], [3002, ""], [3003, ""]]; // an object's keys would be sorted
  const inputs = [];
  for (const [type, text] of ids) {
    const made = await session.constructExtensionObject(resolveNodeId(`ns=${ns};i=${type}`), { id: text });
    inputs.push(new Variant({ dataType: DataType.ExtensionObject, value: made }));
  }
  inputs.push(new Variant({ dataType: DataType.Variant, arrayType: 1, value: [] }));
  const started = await session.call({ objectId: await at(automatic),
    methodId: await at(`${automatic}/StartContinuous`), inputArguments: inputs });
  states.push(await until("ContinuousExecution"));
  const subscription = ClientSubscription.create(session, { requestedPublishingInterval: 100,
    requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 10, publishingEnabled: true });
  const results = [];
  const filter = constructEventFilter(["EventType", `${ns}:ResultId`, `${ns}:JobId`, `${ns}:ResultContent`]);
  const item = ClientMonitoredItem.create(subscription,
    { nodeId: found.nodeId, attributeId: AttributeIds.EventNotifier },
    { samplingInterval: 0, queueSize: 1000, discardOldest: true, filter }, TimestampsToReturn.Both);
  item.on("changed", (fields) => {
    if (fields[0].value.toString() === `ns=${ns};i=1024`) {
      results.push({ id: fields[1].value.id, job: fields[2].value.id,
        sequence: JSON.parse(fields[3].value[0].value).sequence });
    }
  });
  for (let i = 0; i < 100 && results.length < 3; i++) await wait(100);
  console.error("CUT");
  const before = results.length;
  for (let i = 0; i < 200 && (reconnected === 0 || results.length < before + 3); i++) await wait(100);
  console.log(JSON.stringify({ ns, states, stopped: stopped.outputArguments[0].value,
    started: started.outputArguments[1].value, job: started.outputArguments[0].value.id,
    before, results, reconnected }));
  await client.disconnect().catch(() => {});
  process.exit(0);
}
main().catch((error) => { console.error(error.stack); process.exit(1); });
