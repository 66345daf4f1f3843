import { connect } from '../../connect.js';
import { answer } from '../processes/client-side.js';
import { peerCalls } from './peer-calls.js';

const [url = '', options = '{}'] = process.argv.slice(2);
answer(peerCalls(connect(url, JSON.parse(options))));
