/** A warning of leaked listeners ends this process, or fails its tests, like anything else that nobody has caught. */
export function failOnLeaks(): void {
  process.on('warning', (warning) => {
    if (warning.name === 'MaxListenersExceededWarning') throw warning;
  });
}
