/** A parameter of a function, as it stands in its source. */
export interface Parameter {
  /** Not there for one that is taken apart: `{ id }`, `[first]`. */
  readonly name?: string;
  readonly isRest: boolean;
}

interface ReadParameter extends Parameter {
  readonly hasDefault: boolean;
}

/**
 * The parameters of a function, read from its source; `undefined` where that cannot tell them for certain: it is bound or
 * native, or `length` says something else.
 */
export function parametersOf(fn: (...args: never) => unknown): readonly Parameter[] | undefined {
  const source = Function.prototype.toString.call(fn);
  if (/\{\s*\[native code\]\s*\}\s*$/.test(source)) return undefined;
  const parameters = readParameters(new Scanner(source));
  const first = parameters?.findIndex(({ hasDefault, isRest }) => hasDefault || isRest) ?? -1;
  const length = first < 0 ? parameters?.length : first;
  return length === fn.length ? parameters : undefined;
}

function readParameters(scanner: Scanner): readonly ReadParameter[] | undefined {
  let before: string | undefined;
  let depth = 0;
  for (let token = scanner.next(); token !== undefined; token = scanner.next()) {
    if (token === '=>' && depth === 0) return before === undefined ? undefined : [parameter(before)];
    // A method may have a computed name: `[key('(')](a, b) {}`.
    if (token === '[') depth += 1;
    if (token === ']') depth -= 1;
    if (token === '(' && depth === 0) return readList(scanner);
    before = token;
  }
  return undefined;
}

/** After the parenthesis that opens it. */
function readList(scanner: Scanner): readonly ReadParameter[] | undefined {
  const parameters: ReadParameter[] = [];
  for (let token = scanner.next(); token !== undefined; token = scanner.next()) {
    if (token === ')') return parameters;
    const isRest = token === '...';
    const binding = isRest ? scanner.next() : token;
    if (binding === undefined) return undefined;
    let end = binding === '{' || binding === '[' ? skipTo(scanner, 1) : scanner.next();
    const hasDefault = end === '=';
    if (hasDefault) end = skipTo(scanner, 0);
    if (end !== ',' && end !== ')') return undefined;
    parameters.push({ ...parameter(binding), isRest, hasDefault });
    if (end === ')') return parameters;
  }
  return undefined;
}

/** An escape in a name would have to be read; whoever writes one can say the index. */
function parameter(binding: string): ReadParameter {
  const isName = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u.test(binding);
  return { ...(isName && { name: binding }), isRest: false, hasDefault: false };
}

/** The first token behind what is open already, `depth` brackets, or behind an expression, which ends with a comma or bracket. */
function skipTo(scanner: Scanner, depth: number): string | undefined {
  const isExpression = depth === 0;
  let open = depth;
  for (let token = scanner.next(); token !== undefined; token = scanner.next()) {
    if (open === 0 && (token === ',' || token === ')')) return token;
    if (OPENING.has(token)) open += 1;
    if (CLOSING.has(token)) open -= 1;
    if (open === 0 && !isExpression) return scanner.next();
  }
  return undefined;
}

const OPENING = new Set(['(', '[', '{']);
const CLOSING = new Set([')', ']', '}']);

const BLANK = /(?:\s|\/\/.*|\/\*[\s\S]*?\*\/)+/y;
const WORD = /[#\p{ID_Start}$_\d][\p{ID_Continue}$\u200c\u200d]*/uy;
const STRING = /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/y;
const REGEX = /\/(?:[^\\/[\n]|\\.|\[(?:[^\\\]\n]|\\.)*\])+\/[a-z]*/y;
const SIGN = /\.\.\.|=>|[\s\S]/y;

/** After these a slash begins a regular expression, though they are words. */
const OPERATORS = new Set('return typeof case do else in instanceof new void delete throw yield await of'.split(' '));

/** Takes JavaScript apart, as far as it takes to find where a list of parameters ends. */
class Scanner {
  #at = 0;
  #before: string | undefined;

  constructor(private readonly source: string) {}

  /** Strings, templates and regular expressions are one token each, and `undefined` is the end. */
  next(): string | undefined {
    this.#read(BLANK);
    if (this.#at >= this.source.length) return undefined;
    const token = this.#token();
    this.#before = token;
    return token;
  }

  #token(): string | undefined {
    const sign = this.source[this.#at];
    if (sign === '`') return this.#template();
    const regex = sign === '/' && !this.#endsOperand() ? this.#read(REGEX) : undefined;
    return regex ?? this.#read(STRING) ?? this.#read(WORD) ?? this.#read(SIGN);
  }

  /** Whether what stands before is a value, so that a slash divides it. */
  #endsOperand(): boolean {
    const before = this.#before;
    if (before === undefined || OPERATORS.has(before)) return false;
    return CLOSING.has(before) || /[\p{ID_Continue}$'"`]$|^\/./u.test(before);
  }

  #template(): string | undefined {
    const start = this.#at;
    this.#at += 1;
    while (this.#at < this.source.length) {
      const sign = this.source[this.#at];
      if (sign === '`') {
        this.#at += 1;
        return this.source.slice(start, this.#at);
      }
      if (this.source.startsWith('${', this.#at)) {
        this.#at += 2;
        this.#before = '{';
        let open = 1;
        while (open > 0) {
          const token = this.next();
          if (token === undefined) return undefined;
          if (token === '{') open += 1;
          if (token === '}') open -= 1;
        }
      } else this.#at += sign === '\\' ? 2 : 1;
    }
    return undefined;
  }

  #read(what: RegExp): string | undefined {
    what.lastIndex = this.#at;
    const found = what.exec(this.source)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }
}
