/**
 * Checks that pages ran on the adapter that was asked for: a browser that finds no GPU takes the software adapter, and says nothing.
 *
 * @param adapters - of each page, its vendor before all else; empty where no model was loaded, which says nothing
 * @param vendor - as WebGPU names it, such as `nvidia`; null: any will do
 * @throws Error that names an adapter of another vendor
 */
export function checkVendor(adapters: readonly string[], vendor: string | null): void {
  if (vendor === null) return;
  const other = adapters.find((adapter) => adapter !== '' && adapter.split(' ')[0] !== vendor);
  if (other !== undefined)
    throw new Error(`The adapter is "${other}", which is not one of ${vendor}, as --vendor asks.`);
}
