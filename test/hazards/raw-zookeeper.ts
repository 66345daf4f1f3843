import { once } from 'node:events';
import { type Client, CreateMode, createClient } from 'node-zookeeper-client';

/** Another client of ZooKeeper, which does to nodes what conclave would not. */
export class RawZooKeeper {
  private constructor(readonly client: Client) {}

  static async connect(url: string): Promise<RawZooKeeper> {
    const client = createClient(new URL(url).host);
    const connected = once(client, 'connected');
    client.connect();
    await connected;
    return new RawZooKeeper(client);
  }

  createEphemeral(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.client.create(path, Buffer.alloc(0), CreateMode.EPHEMERAL, (error) => (error ? reject(error) : resolve()));
    });
  }

  remove(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.client.remove(path, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(): void {
    this.client.close();
  }
}

export function childrenOf({ client }: RawZooKeeper, path: string): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    client.getChildren(path, (error, children) => (error ? reject(error) : resolve(children)));
  });
}
