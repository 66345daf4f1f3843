import { join } from 'node:path';
import ts from 'typescript';
import { root } from './code-blocks.js';

/** Type-checks modules that exist by name only, as if they stood in the project's folder. Says what is wrong. */
export function typeCheck(modules: ReadonlyMap<string, string>): ReadonlyMap<string, readonly string[]> {
  const config = ts.getParsedCommandLineOfConfigFile(
    join(root, 'tsconfig.json'),
    {},
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic },
  );
  // An example may name things only to show them.
  const options: ts.CompilerOptions = { ...config?.options, noUnusedLocals: false, noUnusedParameters: false };
  const virtual = new Map([...modules].map(([name, code]) => [join(root, name), code]));
  const host = ts.createCompilerHost(options, true);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => virtual.has(path) || fileExists(path);
  host.readFile = (path) => virtual.get(path) ?? readFile(path);
  host.getSourceFile = (path, version, ...rest) => {
    const code = virtual.get(path);
    return code === undefined ? getSourceFile(path, version, ...rest) : ts.createSourceFile(path, code, version, true);
  };
  const program = ts.createProgram([...virtual.keys()], options, host);
  return new Map(
    [...modules.keys()].map((name) => {
      const file = program.getSourceFile(join(root, name));
      const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
      return [name, found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))];
    }),
  );
}

function onUnRecoverableConfigFileDiagnostic({ messageText }: ts.Diagnostic): never {
  throw new Error(ts.flattenDiagnosticMessageText(messageText, '\n'));
}
