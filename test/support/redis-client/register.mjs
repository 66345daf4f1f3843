// Loaded into a process of a test before everything else, when another client of Redis is tried than the one installed.
import { register } from 'node:module';

register('./hooks.mjs', import.meta.url);
