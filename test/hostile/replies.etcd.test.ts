import { describe } from 'vitest';
import { startEtcd } from '../../src/testing/servers/etcd.js';
import { rubbishReplies } from './replies.js';
import { nothingEscapes } from './support.js';

nothingEscapes();

describe('what comes from etcd', () => rubbishReplies('etcd', () => startEtcd()));
