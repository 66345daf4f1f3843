export {
  type Exploration,
  type ExploreOptions,
  explore,
  InvariantBroken,
  type Moment,
  type TimedFault,
} from './explore.js';
export {
  crash,
  delay,
  deploy,
  expireSession,
  type Fault,
  type FaultKind,
  heal,
  jumpClock,
  type Losable,
  loseReply,
  partition,
  pause,
  type RestartOptions,
  restartStore,
  suspend,
} from './faults.js';
export {
  type MarbleHelpers,
  type MarblesOptions,
  marbles,
  type ObservableExpectation,
  type SubscriptionsExpectation,
} from './marbles.js';
export { asReadable, readable } from './readable.js';
export { type Happening, MarbleMismatch, type MarbleValues, type Recording, record } from './recording.js';
export { type GrantScriptOptions, grantOf, leadershipOf, membersOf, type ScriptOptions } from './scripted.js';
export { type Cluster, type ProcessOptions, type SimulationOptions, simulate, UnknownProcess } from './simulate.js';
