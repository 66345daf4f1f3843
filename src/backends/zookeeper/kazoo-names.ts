import type { Mode, RosterKind } from '../backend.js';
import { permitsInName } from '../shared/admission.js';
import { type Names, parseNumbered } from './names.js';

const MARKERS: Readonly<Record<RosterKind, Readonly<Record<Mode, string>>>> = {
  lock: { exclusive: '__lock__', shared: '__rlock__' },
  election: { exclusive: '__lock__', shared: '__rlock__' },
  group: { exclusive: '__xmember__', shared: '__member__' },
};

/** Locks and elections are kazoo's; groups are nobody's. */
export const kazooNames: Names = {
  starts: (kind, { id, mode, permits }) => {
    const limit = permitsInName(kind, permits);
    return [`${id}${limit === '' ? '' : `.${limit}`}${MARKERS[kind][mode]}`];
  },
  parse: parseNumbered,
  madeUnder: (id, names) => names.filter((name) => name.startsWith(id)),
};
