/*
 * A preferred candidate comes, leads, goes, and comes back; a leader stands down; a process takes over from its earlier self.
 *
 *     npx tsx examples/leading.ts
 *
 * The processes and their store are simulated, so minutes are over at once. What they do is the same on a real store.
 */
import { type CampaignOptions, campaign, type Lead, toUndefined } from 'conclave';
import { simulate } from 'conclave/testing';

const cluster = simulate({ latencyMs: 5, ttlMs: 10_000 });

function say(what: string): void {
  console.log(`${(cluster.now() / 1_000).toFixed(1).padStart(6)} s  ${what}`);
}

/** A process that stands in an election, and says what it is told. */
class Candidate {
  /** While it leads. */
  lead: Lead | undefined;
  readonly #standing;

  constructor(
    readonly who: string,
    election: string,
    options: CampaignOptions,
  ) {
    say(`${who} comes`);
    const lead$ = campaign(cluster.backend(who), election, options);
    this.#standing = cluster.run(who, () =>
      lead$.subscribe({
        next: (now) => this.#told(toUndefined(now)),
        error: (error: Error) => say(`${who} is told ${error.name}`),
      }),
    );
  }

  leave(): void {
    say(`${this.who} goes`);
    this.#standing.unsubscribe();
  }

  #told(lead: Lead | undefined): void {
    if (lead !== undefined) say(`${this.who} leads, with token ${lead.token}`);
    else if (this.lead !== undefined) say(`${this.who} leads no longer`);
    this.lead = lead;
  }
}

console.log('The preferred candidate leads once it has waited for 5 s.');
const holdDownMs = 5_000;
new Candidate('spare', 'scheduler', { priority: 1, holdDownMs });
cluster.pass(10_000);
const preferred = new Candidate('preferred', 'scheduler', { priority: 2, holdDownMs });
cluster.pass(20_000);
preferred.leave();
cluster.pass(10_000);

console.log('It comes back and goes at once: the lead does not flap.');
const flapping = new Candidate('preferred', 'scheduler', { priority: 2, holdDownMs });
cluster.pass(2_000);
flapping.leave();
cluster.pass(8_000);

console.log('It comes back to stay.');
const back = new Candidate('preferred', 'scheduler', { priority: 2, holdDownMs });
cluster.pass(10_000);

console.log('The leader stands down: the next in line leads, until the preferred one has waited for 5 s again.');
back.lead?.standDown();
cluster.pass(10_000);

console.log('A process is killed, and started again under the same id: it leads at once, not after the ttl of 10 s.');
const pod: CampaignOptions = { id: 'pod-0', takeOver: true };
new Candidate('pod-0 (1)', 'poller', pod);
cluster.pass(10_000);
say('pod-0 (1) is killed');
cluster.crash('pod-0 (1)');
cluster.pass(1_000);
new Candidate('pod-0 (2)', 'poller', pod);
cluster.pass(9_000);

console.log(
  'Its earlier self is not dead, but cut off: both lead until that hears of it, and only the token guards what they write.',
);
cluster.partition('pod-0 (2)', 3_000);
say('pod-0 (2) is cut off for 3 s');
cluster.pass(1_000);
new Candidate('pod-0 (3)', 'poller', pod);
cluster.pass(19_000);
