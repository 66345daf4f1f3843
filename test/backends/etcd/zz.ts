import { startEtcdCluster } from '../../support/etcd.js';
import { Stay, lock, Backends, live } from './support.js';
const kind = process.argv[2] ?? 'pause';
const cluster = await startEtcdCluster();
console.log('cluster up', cluster.url);
const ports = cluster.nodes.map(n=>n.port);
let violations = 0, handovers = 0, lossesTold = 0, worst = -Infinity;
const rounds = Number(process.argv[3] ?? 4);
for (let r=0;r<rounds;r++) {
  const leader = await cluster.leader();
  const others = ports.filter(p=>p!==leader.port);
  const backs = new Backends();
  const onLeader = kind.includes('follower') ? others[0]! : leader.port;
  const a = backs.make(onLeader, {ttlMs: 4000, guardMs: 50});
  const b = backs.make(others[1]!, {ttlMs: 4000, guardMs: 50});
  const states: string[] = [];
  const t0 = performance.now();
  a.session$.subscribe(s=>states.push(`${((performance.now()-t0)/1000).toFixed(2)} a ${s.state}`));
  b.session$.subscribe(s=>states.push(`${((performance.now()-t0)/1000).toFixed(2)} b ${s.state}`));
  const name = 'r'+r;
  const sa = new Stay(a, lock(name)); const pa = await sa.admitted(10000);
  let lostAt = 0; sa.places$.subscribe({error: e => { lostAt = performance.now(); lossesTold++; states.push(`${((lostAt-t0)/1000).toFixed(2)} a lost ${e.message}`)}});
  const sb = new Stay(b, lock(name)); await sb.waiting(10000).catch(e=>console.log(String(e)));
  let adm = 0;
  sb.places$.subscribe({next: p => { if (p.admitted) { adm = performance.now(); handovers++; const valid = pa.isValid(); if (valid) violations++; states.push(`${((adm-t0)/1000).toFixed(2)} b admitted, a valid: ${valid}`);} }, error: e=>states.push('b lost '+e.message)});
  await new Promise(r=>setTimeout(r,700 + Math.random()*800));
  states.push(`${((performance.now()-t0)/1000).toFixed(2)} fault`);
  const node = kind.includes('follower') ? cluster.nodes.find(n=>n.port===onLeader)! : leader;
  if (kind.startsWith('pause')) { node.pause(); await new Promise(r=>setTimeout(r,4200)); node.resume(); await new Promise(r=>setTimeout(r,3500)); }
  if (kind.startsWith('kill')) { await node.kill(); await new Promise(r=>setTimeout(r,6500)); await node.start(); }
  if (kind.startsWith('cut')) { cluster.cutOff(node); await new Promise(r=>setTimeout(r,6500)); await cluster.rejoin(); await new Promise(r=>setTimeout(r,1500)); }
  if (kind.startsWith('restart-multi')) { }
  if (lostAt && adm) worst = Math.max(worst, lostAt-adm);
  console.log(states.join('\n  '));
  sa.leave(); sb.leave();
  await backs[Symbol.asyncDispose]();
}
console.log({kind, rounds, handovers, violations, lossesTold, 'worst (lost told - admitted, ms)': worst});
await cluster[Symbol.asyncDispose]();
