import { parts } from './parts.js';
import type { FileResult } from './results.js';
import type { Explanation } from './survivors.js';

/** `docs/mutation.md`. */
export function page(results: readonly FileResult[], explanations: readonly Explanation[], versions: string): string {
  return `# Mutation testing

${completeness(results)}

Do the tests notice when the code is wrong? \`npm run mutation\` changes the sources in many small ways – a condition turned round,
a statement taken out, a \`+\` for a \`-\` – and runs the tests that reach the change. A change that no test notices has survived.

What is changed are the observables, the operators, and the session kernel in \`src/backends/\`; text is left alone. What runs are
\`test/kernel\`, \`test/observables\` and \`test/operators\`: virtual time, no servers. What only the other tests would notice, on real
stores, counts as survived here.

\`npm run mutation -- operators\` (or \`observables\`, \`sessions\`, \`kernel\`, or \`src/observables/locks/lock.ts\`) runs a part, and keeps
what is known of the rest in \`reports/mutation\`; \`-- --reuse\` tries only what a changed source or an added test may have changed. The command writes
this page, and fails where a survivor has no explanation in \`test/mutation/survivors.ts\`, or an explanation has no
survivor any more.

## Score

Last run on ${new Date().toISOString().slice(0, 10)}, with ${versions}. Killed: a test failed, or nothing came to an end any more (in brackets: how many of them).

${table(results)}

## What survives, and why

${explanations.map(explained).join('\n\n')}
`;
}

function table(results: readonly FileResult[]): string {
  const folders = [...new Set(results.map(({ file }) => folderOf(file)))];
  const rows = folders.flatMap((folder) => {
    const inside = results.filter(({ file }) => folderOf(file) === folder);
    return [
      row(`**${folder}**`, inside),
      ...inside.map((result) => row(result.file.slice(folder.length + 1), [result])),
    ];
  });
  return ['| | killed | of | survived | score |', '|---|---|---|---|---|', row('**all**', results), ...rows].join('\n');
}

function completeness(results: readonly FileResult[]): string {
  const files = Object.values(parts).flat();
  const missing = files.filter((file) => results.every((result) => result.file !== file));
  return missing.length === 0
    ? `Complete: all ${files.length} files that it is about have been run.`
    : `**Not complete:** of the ${files.length} files that it is about, ${missing.length} have not been run: ${missing.join(', ')}.`;
}

function row(name: string, results: readonly FileResult[]): string {
  const sum = (figure: (result: FileResult) => number): number => results.reduce((all, one) => all + figure(one), 0);
  const [killed, total, timedOut] = [sum((one) => one.killed), sum((one) => one.total), sum((one) => one.timedOut)];
  const brackets = timedOut === 0 ? '' : ` (${timedOut})`;
  return `| ${name} | ${killed}${brackets} | ${total} | ${total - killed} | ${((100 * killed) / total).toFixed(1)} % |`;
}

function explained({ why, mutants }: Explanation): string {
  const list = Object.entries(mutants).flatMap(([file, changes]) =>
    changes.map((change) => `- ${file}: ${code(change)}`),
  );
  return `**${why}**\n\n${list.join('\n')}`;
}

/** Backticks inside need more of them outside. */
function code(text: string): string {
  return text.includes('`') ? `\`\` ${text} \`\`` : `\`${text}\``;
}

function folderOf(file: string): string {
  return file.slice(0, file.lastIndexOf('/'));
}
