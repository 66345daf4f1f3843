import { describeCells } from './describe-cells.js';
import { removedMember } from './removed-member.js';
import { startThree } from './stores.js';

describeCells('etcd-removed', () => startThree('etcd'), [removedMember]);
