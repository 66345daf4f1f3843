import { clusterCellsOf } from './clusters.js';
import { describeCells } from './describe-cells.js';
import { readOnlyServer } from './read-only.js';
import { startThree } from './stores.js';

describeCells('zookeeper-cluster', () => startThree('zookeeper'), clusterCellsOf('zookeeper'));

const readOnlyMode = { JAVA_TOOL_OPTIONS: '-Dreadonlymode.enabled=true' };
describeCells('zookeeper-cluster', () => startThree('zookeeper', readOnlyMode), [readOnlyServer]);
