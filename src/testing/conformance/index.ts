export { backendConformance } from './conformance.js';
export type { Connect, Link, MakeBackend, OwnServer, Peer, Quirks } from './quirks.js';
export { type Remote, type RemoteServer, remote } from './remote.js';
export { type LocalStore, type WithinProcess, withinProcess } from './within-process.js';
