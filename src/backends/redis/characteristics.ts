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
    'Without appendonly, a restart of Redis forgets everything, and with it whatever Redis had acknowledged and not yet written: with its default appendfsync everysec that of the last two seconds, also when only its process was killed. What must outlive that, such as a cell or a group, needs appendfsync always.',
    'After a restart of Redis, a fail-over, or the move of a slot nobody new is admitted for one ttl from the first use, since nobody can know what was forgotten; at the very first use, without any data, the server must have been up for one ttl, and in a cluster connected to all other nodes for as long.',
    'FLUSHALL, or any other removal of its keys while Redis is running, and an endpoint that is led to an older copy which its own server has written, or to an empty server, is noticed by all who knew the data, unless so many others have changed the older copy meanwhile that its changes are as many as they knew, and then nobody is admitted for one ttl; those who held something are told at their next renewal, or one of the next where a session stands under more than four names. Until one who knew it has come, a process that has just connected and knew nothing may be admitted beside a holder, and anybody may where only the keys of one lock were removed, or where a node of a cluster was emptied and its slots given away, or was forgotten within a ttl of its death.',
    'A promoted server that has had no replica for its repl-backlog-ttl (an hour by default) admits nobody for one ttl once more. Where that is shorter than a ttl, it may also not be noticed that the server was made a replica and a master again in between: leave it at its default.',
    'The maxmemory-policy must be noeviction: with any other, Redis may remove what somebody holds.',
    'A leap of the server clock neither frees what is held nor prolongs it by more than a renewal period each, as long as those who use the server in the ttl after it had used it before: clients compare what is counted with their own monotonic clocks. Where that is somebody who has just connected, up to a third of the shortest ttl counts as time that has passed, and so may as much as the server stood still, or as requests differ in how long they are on their way, if it leaps at that moment; then the session of a process that is cut off may end too early by it. Where it leaps forward while nobody at all who has a session is connected, all of the leap counts for the next who has just connected, so who is cut off just then may be followed too early. For a ttl after a leap forward, what is renewed may last longer by a third of a ttl if its owner dies. Each of many who connect for the first time in the ttl after a leap adds a fiftieth of the ttl (200 ms at most) to what counts, so a stream of them may free what is held by one who is cut off up to a third of a ttl too early. Who waits alone, and whose own clock has once lost time, waits longer by that, up to a third of a ttl, also later.',
    'A holder whose process died is followed by whoever comes after its ttl. One whose machine died, so that the server does not know its connections to be gone, is followed by who waits; those who ask once and go are refused a few times, until tcp-keepalive (300 s by default) has noticed.',
    'How long a server has been up is known from its clock only: one that is set forward soon after a start, as at the boot of a machine with a wrong clock, shortens the wait above.',
    'On Redis Cluster each of sixteen shards has a session of its own, if it is used: the state of the session is that of the worst of them, and what is held in one is lost without the others. To follow all groups takes all of them.',
    'While a slot of Redis Cluster is being moved, nothing in it is renewed, admitted or released: a move that takes longer than the ttl loses what is held there. After a start, a master of a cluster serves nobody for two seconds.',
    'All who share a namespace should use the same ttlMs: after a loss of data nobody knows the longest.',
  ],
};
