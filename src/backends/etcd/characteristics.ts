import type { Characteristics } from '../backend.js';

/** What the etcd backend promises. */
export const etcdCharacteristics: Characteristics = {
  distributed: true,
  fair: true,
  tokensSurviveRestart: true,
  tokensSurviveDataLoss: false,
  consistentFailover: true,
  cells: true,
  caveats: [
    'Tokens are create revisions: after a loss of all data, or a restore of a backup, they begin again from a lower one.',
    'Leases live for whole seconds, at least 1.5 election timeouts of the cluster: the lifetime granted may exceed ttlMs.',
    'A change of the cluster’s leader is weathered by moving what is held to a new lease, which needs the deadline to be still ahead; the new leader gives each lease an election timeout more, so a dead holder is followed that much later.',
    'A database that is full (alarm NOSPACE) takes nobody in, but costs nothing that is held, unless the cluster’s leader changes before there is room: no new lease is granted, so what is held is lost at its deadline.',
    'Whoever waits for one of several permits is told of each release before it, not only of the one that lets it in.',
    'It talks to the members of the cluster themselves: etcd grpc-proxy, which renews leases on its own account so that no renewal is proved through it, is refused with NotSupported.',
  ],
};
