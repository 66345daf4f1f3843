import { failOnLeaks } from '../../src/testing/processes/fail-on-leaks.js';

failOnLeaks();
