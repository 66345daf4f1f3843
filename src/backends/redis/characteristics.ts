import type { Characteristics } from '../backend.js';

/** What the Redis backend promises. */
export const redisCharacteristics: Characteristics = {
  distributed: true,
  fair: true,
  tokensSurviveRestart: true,
  tokensSurviveDataLoss: true,
  consistentFailover: false,
  cells: true,
  caveats: [
    'Replication is asynchronous: a fail-over may forget what was acknowledged last. After it nobody is admitted for one ttl from its first use, which protects holders until their deadline, and tokens keep growing if the clocks of both servers agree. With waitReplicas, nothing is held, and no session renewed, that so many replicas have not acknowledged: with as many as there are, a master that is cut off and still serves some clients keeps nobody who holds something, but while one of them is missing nobody holds anything. Without it such a master is not noticed, unless there are sentinels that can tell of it: set min-replicas-to-write.',
    'After a restart of Redis, a fail-over, or the move of a slot nobody new is admitted for one ttl from the first use, since nobody can know what was forgotten; at the very first use, without any data, the server must have been up for one ttl, and in a cluster connected to all other nodes for as long.',
    'FLUSHALL, or any other removal of its keys while Redis is running, and an endpoint that is led to an older copy which its own server has written, or to an empty server, is noticed by those who knew the data, and then nobody is admitted for one ttl: by whoever has a session in the copy, with the next request, since the last change of that session is missing; by others only where the copy has fewer changes than they knew. Those who held something are told at their next renewal, or one of the next where a session stands in more than a hundred places. Until one who knew it has come, a process that has just connected and knew nothing may be admitted beside a holder, and anybody may where only the keys of one lock were removed, or where a node of a cluster was emptied and its slots given away, or was forgotten within a ttl of its death.',
    'Redis 6.2: a promoted server that has had no replica for its repl-backlog-ttl (an hour by default) admits nobody for one ttl once more. Where that is shorter than a ttl, it may also not be noticed that the server was made a replica and a master again in between: leave it at its default. Later versions count what they receive from a master; do not reset that count (CONFIG RESETSTAT) during a fail-over.',
    'The maxmemory-policy must be noeviction: with any other, Redis may remove what somebody holds.',
    'A leap of the server clock neither frees what is held nor prolongs it by more than a renewal period each, as long as those who use the server in the ttl after it had used it before: clients compare what is counted with their own monotonic clocks. Where that is somebody who has just connected, up to a third of the shortest ttl counts as time that has passed, and so may as much as the server stood still, or as requests differ in how long they are on their way, if it leaps at that moment; then the session of a process that is cut off may end too early by it. Where it leaps forward while nobody at all who has a session is connected, all of the leap counts for the next who has just connected, so who is cut off just then may be followed too early. For a ttl after a leap forward, what is renewed may last longer by a third of a ttl if its owner dies. Who waits alone, and whose own clock has once lost time, waits longer by that, up to a third of a ttl, until it is made up for at half of the drift: three minutes for a second.',
    'A holder whose process died is followed by whoever comes after its ttl. One whose machine died, so that the server does not know its connections to be gone, is followed by who waits; those who ask once and go are refused a few times, until tcp-keepalive (300 s by default) has noticed.',
    'How long a server has been up is known from its clock only: one that is set forward soon after a start, as at the boot of a machine with a wrong clock, shortens the wait above.',
    'On Redis Cluster each of sixteen shards has a session of its own, if it is used: the state of the session is that of the worst of them, and what is held in one is lost without the others. To follow all groups takes all of them.',
    'While a slot of Redis Cluster is being moved, nothing in it is renewed, admitted or released: a move that takes longer than the ttl loses what is held there. After a start, a master of a cluster serves nobody for two seconds.',
    'All who share a namespace should use the same ttlMs: after a loss of data nobody knows the longest.',
  ],
};
