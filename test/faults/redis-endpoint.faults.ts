import { describeCells } from './describe-cells.js';
import { endpointCells } from './endpoint.js';
import { startBehindEndpoint } from './stores.js';

describeCells('redis-endpoint', startBehindEndpoint, endpointCells);
