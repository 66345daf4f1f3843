import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What has to be installed before a server can be run. */
export interface Program {
  /** The name of an executable on the `PATH`, or a file by its whole path. */
  readonly name: string;
  /** The package of Debian and Ubuntu that brings it. */
  readonly debianPackage: string;
}

/** A server cannot be started, because a program that it needs is not installed. */
export class MissingProgram extends Error {
  readonly _tag = 'MissingProgram';
  override readonly name = 'MissingProgram';
  readonly program: string;
  readonly debianPackage: string;

  constructor(product: string, { name, debianPackage }: Program) {
    super(
      `A ${product} server needs ${name}, which is not ${name.startsWith('/') ? 'there' : 'on the PATH'}: ` +
        `apt-get install ${debianPackage}, or what your system calls it.`,
    );
    this.program = name;
    this.debianPackage = debianPackage;
  }
}

export function isInstalled({ name }: Program): boolean {
  return name.startsWith('/') ? existsSync(name) : isOnPath(name);
}

export function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
