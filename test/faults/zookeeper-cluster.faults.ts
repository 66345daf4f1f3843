import { clusterCellsOf } from './clusters.js';
import { describeCells } from './describe-cells.js';
import { startThree } from './stores.js';

describeCells('zookeeper-cluster', () => startThree('zookeeper'), clusterCellsOf('zookeeper'));
