import { describeMatrix } from './describe-matrix.js';

describeMatrix('etcd');
