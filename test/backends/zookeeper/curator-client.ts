import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { OtherClient } from './other-client.js';

const jars = [
  'curator-recipes',
  'curator-framework',
  'curator-client',
  'zookeeper',
  'zookeeper-jute',
  'guava',
  'slf4j-api',
  'slf4j-nop',
].map((name) => `/usr/share/java/${name}.jar`);

/** A process of Curator, connected. */
export async function startCurator({ port }: { readonly port: number }): Promise<OtherClient> {
  for (const jar of jars) expect(existsSync(jar), jar).toBe(true);
  const program = fileURLToPath(new URL('./CuratorClient.java', import.meta.url));
  const curator = new OtherClient('java', ['-cp', jars.join(':'), program, `127.0.0.1:${port}`]);
  // It is compiled first.
  expect(await curator.next('curator', 50_000)).toBe('connected');
  return curator;
}
