import { describe } from 'vitest';
import { startZooKeeper } from '../../src/testing/servers/zookeeper.js';
import { rubbishReplies } from './replies.js';
import { nothingEscapes } from './support.js';

nothingEscapes();

describe('what comes from ZooKeeper', () => rubbishReplies('zookeeper', () => startZooKeeper()));
