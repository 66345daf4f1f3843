/** Why the tests need not notice some changes. */
export interface Explanation {
  readonly why: string;
  /** By file, each in the words in which the run tells it. */
  readonly mutants: Readonly<Record<string, readonly string[]>>;
}

export const explanations: readonly Explanation[] = [];
