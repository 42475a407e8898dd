// TypeDoc asks for 'typescript' and works with versions up to 6. The repository has 7 under that name, and 5.4 beside it.
export const resolve = (specifier, context, next) =>
  next(specifier === 'typescript' ? 'typescript-5.4' : specifier, context);
