import type { KVClient } from 'etcd3';

export type CallOptions = NonNullable<Parameters<KVClient['range']>[1]>;
type Interceptor = NonNullable<CallOptions['interceptors']>[number];
type Call = ReturnType<Parameters<Interceptor>[1]>;

/** gRPC's status for a call that its caller has given up. */
const CANCELLED = 1;

/** What is to be done when a call is really sent, whatever the client had to do before. */
export interface Sending {
  /** As of `Date.now`. */
  deadline(): number;
  readonly token: string | undefined;
}

/** One call, perhaps not sent yet. */
export interface Attempt {
  readonly options: CallOptions;
  /** What was sent. */
  readonly sent: { readonly path: string; readonly message: unknown } | undefined;
  /** It has been answered. */
  settle(): void;
}

/**
 * The calls that are under way over one connection. An interceptor is the only way to get hold of a call, without which
 * it cannot be cancelled; and to say who asks without etcd3, which makes a connection of its own to ask for a token.
 */
export class Calls {
  readonly #underWay = new Set<Call>();

  next({ deadline, token }: Sending): Attempt {
    let call: Call | undefined;
    let sent: { path: string; message: unknown } | undefined;
    const intercept = ((options, next) => {
      // etcd3 would send what was refused for its token again and again, with the same one.
      if (call !== undefined && token !== undefined) throw new Error('etcdserver: invalid auth token');
      settle();
      const made = next({ ...options, deadline: deadline() });
      call = made;
      this.#underWay.add(made);
      const sendMessage = made.sendMessage.bind(made);
      made.sendMessage = (message) => {
        sent = { path: options.method_definition.path, message };
        sendMessage(message);
      };
      identify(made, token);
      return made;
    }) satisfies Loosely<Interceptor>;
    const settle = (): void => {
      if (call !== undefined) this.#underWay.delete(call);
    };
    return {
      options: { interceptors: [intercept as Interceptor] },
      get sent() {
        return sent;
      },
      settle,
    };
  }

  cancel(why: string): void {
    for (const call of this.#underWay) call.cancelWithStatus(CANCELLED, why);
    this.#underWay.clear();
  }
}

/** For a stream, which has no deadline. */
export function identified(token: string | undefined): CallOptions {
  const intercept = ((options, next) => {
    const call = next(options);
    identify(call, token);
    return call;
  }) satisfies Loosely<Interceptor>;
  return { interceptors: [intercept as Interceptor] };
}

/** What `next` returns is all that gRPC needs, but its types want the class. */
type Loosely<I extends Interceptor> = (...args: Parameters<I>) => Call;

function identify(call: Call, token: string | undefined): void {
  if (token === undefined) return;
  const start = call.start.bind(call);
  call.start = (metadata, listener) => {
    metadata.set('token', token);
    start(metadata, listener);
  };
}
