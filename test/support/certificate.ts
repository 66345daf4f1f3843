import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { watchdog } from '../../src/testing/processes/watchdog.js';

/** Of a server on this machine, signed by itself: whoever is to trust it must be given it. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly pem: Buffer;
}

/** Ends with this process, like the servers that use it. */
export function newCertificate(): Certificate {
  const path = join(watchdog().folder, `certificate-${randomUUID()}`);
  const [certFile, keyFile] = [`${path}.crt`, `${path}.key`];
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', '/CN=conclave test', '-addext', 'subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost'],
      ...['-keyout', keyFile, '-out', certFile],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  return { certFile, keyFile, pem: readFileSync(certFile) };
}
