/** Where this file is, in both forms of the package; in a bundle it is that bundle, or nothing. */
const here: string = typeof __filename === 'string' ? __filename : '';

export = here;
