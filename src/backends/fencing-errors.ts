import { CoordinationError } from './errors.js';

/** What is written to has seen a greater token. Nothing was written. */
export class StaleToken extends CoordinationError {
  readonly _tag = 'StaleToken';
  override readonly name = 'StaleToken';
  constructor(
    readonly resource: string,
    readonly token: bigint,
    /** The token that the resource has. */
    readonly seen: bigint,
  ) {
    super(
      `${resource} has seen token ${seen} and refuses ${token}: another was let in since, so stop the work under this one. ` +
        'Or the tokens are of two stores, or of one that has lost its data, and cannot be compared: then connect the whole ' +
        `fleet with a tokenBase greater than ${seen}, as docs/guide.md says under "Moving to another store".`,
    );
  }

  override get canHeal(): boolean {
    return false;
  }
}

/** What is written to is not there, so it has no token to compare with. Nothing was written. */
export class ResourceNotFound extends CoordinationError {
  readonly _tag = 'ResourceNotFound';
  override readonly name = 'ResourceNotFound';
  constructor(readonly resource: string) {
    super(`${resource} is not there. Make it first, or write with { create: true }.`);
  }
}

/** Somebody changed it between reading and writing, though nobody with a greater token. Nothing was written. */
export class ResourceChanged extends CoordinationError {
  readonly _tag = 'ResourceChanged';
  override readonly name = 'ResourceChanged';
  constructor(readonly resource: string) {
    super(`${resource} was changed by somebody else while it was to be written. Nothing was written: try again.`);
  }
}

/** What is written to cannot keep out the holders of the past. Nothing was written, unless its `reason` says so, or it was made. */
export class UnfenceableResource extends CoordinationError {
  readonly _tag = 'UnfenceableResource';
  override readonly name = 'UnfenceableResource';
  constructor(
    readonly resource: string,
    readonly reason: string,
  ) {
    super(`${resource} cannot be written to under a token: ${reason}.`);
  }

  override get canHeal(): boolean {
    return false;
  }
}

/** An HTTP server answered neither that it was done, nor that the resource had changed or was not there. */
export class UnexpectedStatus extends CoordinationError {
  readonly _tag = 'UnexpectedStatus';
  override readonly name = 'UnexpectedStatus';
  constructor(
    readonly resource: string,
    readonly operation: string,
    readonly status: number,
  ) {
    super(`${resource} answered "${operation}" with status ${status}.`);
  }
}
