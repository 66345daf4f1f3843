import { clusterCellsOf } from './clusters.js';
import { describeCells } from './describe-cells.js';
import { startThree } from './stores.js';

describeCells('etcd-cluster', () => startThree('etcd'), clusterCellsOf('etcd'));
