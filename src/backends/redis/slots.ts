/** How many parts a Redis Cluster's keyspace has. */
const SLOTS = 16_384;

/** The slot of a key, or of its hash tag: CRC-16/XMODEM of its bytes. */
export function slotOf(tag: string): number {
  return checksum(tag) % SLOTS;
}

/** A hash tag for one of `shards`, each in a part of its own of all slots, so that every master gets as many of them. */
export function tagOf(name: string, shard: number, shards: number): string {
  const isThere = (tag: string): boolean => Math.floor((slotOf(tag) * shards) / SLOTS) === shard;
  let tag = `${name}:${shard}`;
  for (let attempt = 1; !isThere(tag); attempt++) tag = `${name}:${shard}.${attempt}`;
  return tag;
}

function checksum(text: string): number {
  let crc = 0;
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021) & 0xffff;
  }
  return crc;
}
