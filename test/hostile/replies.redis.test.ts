import { describe } from 'vitest';
import { startUsedRedis } from '../backends/redis/support.js';
import { rubbishReplies, ttlMs } from './replies.js';
import { nothingEscapes } from './support.js';

nothingEscapes();

describe('what comes from Redis', () => rubbishReplies('redis', () => startUsedRedis({}, ttlMs)));
