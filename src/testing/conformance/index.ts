export { backendConformance } from './conformance.js';
export type { Connect, Link, MakeBackend, OwnServer, Peer, Quirks, ReplicatedServer } from './quirks.js';
export { type Remote, type RemoteCluster, type RemoteNode, type RemoteServer, remote } from './remote.js';
export { type LocalReplicatedStore, type LocalStore, type WithinProcess, withinProcess } from './within-process.js';
