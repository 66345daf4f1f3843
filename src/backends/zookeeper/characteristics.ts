import type { Characteristics } from '../backend.js';

/** What the ZooKeeper backend promises. */
export const zookeeperCharacteristics: Characteristics = {
  distributed: true,
  fair: true,
  tokensSurviveRestart: true,
  tokensSurviveDataLoss: false,
  consistentFailover: true,
  cells: true,
  caveats: [
    'An ensemble that loses its data starts its transaction ids, and with them the tokens, anew.',
    'In an ensemble, renewals are proved late, and only if tickTimeMs is not less than the tickTime of the servers; through the leader at once, where balanced is false.',
    'A server that touches sessions for observers behind an observer master has two hops, which the proof does not cover.',
    'An empty parent node that conclave made is deleted, by the server where it has containers (3.5.1 and later): a kazoo Lock object that has used it before fails with NoNodeError once, unless keepParents is set.',
    'A plain kazoo Lock is not held back by read locks; kazoo WriteLock is.',
    'The client speaks neither TLS nor SASL nor IPv6.',
  ],
};
