export { backendConformance } from './conformance.js';
export type { Link, MakeBackend, OwnServer, Peer, Quirks } from './quirks.js';
export { remote } from './remote.js';
export { withinProcess } from './within-process.js';
