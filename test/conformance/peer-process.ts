import { connect } from '../../src/connect.js';
import { answer } from '../support/client-side.js';
import { peerCalls } from './peer-calls.js';

const [url = '', options = '{}'] = process.argv.slice(2);
answer(peerCalls(connect(url, JSON.parse(options))));
