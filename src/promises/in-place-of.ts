/** A function or a method of somebody's. */
export type Work = (this: unknown, ...args: unknown[]) => unknown;

/** Frameworks go by the name and length of a method, and by what other decorators have left at it. */
export function inPlaceOf(fn: Work, wrapped: Work): Work {
  const {
    prototype: _,
    arguments: __,
    caller: ___,
    ...properties
  } = Object.getOwnPropertyDescriptors(fn) as Record<string, PropertyDescriptor>;
  Object.defineProperties(wrapped, properties);
  const { getOwnMetadataKeys, getOwnMetadata, defineMetadata } = Reflect as typeof Reflect & MetadataOfReflect;
  for (const key of getOwnMetadataKeys?.(fn) ?? []) defineMetadata?.(key, getOwnMetadata?.(key, fn), wrapped);
  return wrapped;
}

/** What the package `reflect-metadata` adds, which NestJS uses. */
interface MetadataOfReflect {
  getOwnMetadataKeys?(of: object): unknown[];
  getOwnMetadata?(key: unknown, of: object): unknown;
  defineMetadata?(key: unknown, value: unknown, of: object): void;
}
