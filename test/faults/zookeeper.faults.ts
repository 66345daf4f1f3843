import { describeCells } from './describe-cells.js';
import { matrixOf } from './matrix.js';
import { startSingle } from './stores.js';

describeCells('zookeeper', () => startSingle('zookeeper'), matrixOf('zookeeper'));
