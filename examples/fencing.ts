/*
 * A holder is paused, another is let in, and the paused one writes: what it writes to refuses it.
 *
 *     npx tsx examples/fencing.ts
 *
 * What is written to is a document behind HTTP, served here, which keeps the token; `fencedSql` and `fencedRedis` do the same
 * with a row and a hash. Which lock is taken says the template of `synchronized`, and that of `lockName`.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect, fencedHttp, type Grant, lockName, synchronized, withLock } from 'conclave';
import { lastValueFrom } from 'rxjs';

/** A document with an ETag, which is replaced only by who has seen it as it is. */
let document = '{"status":"open"}';
let version = 1;
const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  const etag = `"${version}"`;
  if (request.method === 'GET') response.writeHead(200, { etag }).end(document);
  else if (request.headers['if-match'] !== etag) response.writeHead(412).end();
  else {
    [document, version] = [body, version + 1];
    response.writeHead(204).end();
  }
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/invoices/42`;

const backend = connect('memory:');
const invoice = { id: 42 };
const name = lockName('invoice-{invoice.id}', { invoice });

// What a process that is paused does not know: that its lock is lost. Here it only keeps its grant for too long.
const paused = await lastValueFrom(withLock(backend, name, async (grant: Grant) => grant));

const pay = synchronized(
  backend,
  'pay-{0.id}',
)(async (invoice: { id: number }) => {
  await lastValueFrom(
    withLock(backend, lockName('invoice-{invoice.id}', { invoice }), ({ token }) =>
      fencedHttp(url, { set: { status: 'paid' }, token }),
    ),
  );
  console.log('the next holder has written:', document);
});
await pay(invoice);

await lastValueFrom(fencedHttp(url, { set: { status: 'void' }, token: paused.token })).catch((error: Error) =>
  console.log(`the paused one has not: ${error.name}: ${error.message}`),
);
console.log('it is still:', document);

server.close();
await backend.close();
