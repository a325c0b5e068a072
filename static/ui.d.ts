/** What the page's own scripts may ask of the gate. All of it reflects what the server decided; none of it grants. */

export interface CookiegateChange {
  /** Ids of the choosable purposes that are allowed now. */
  readonly allowed: readonly string[];
}

export interface Cookiegate {
  /** Whether a purpose is allowed now. An undeclared purpose never is. */
  allows(purpose: string): boolean;
  /** Call `listener` after each choice that needed no new page. Returns a function that ends it. */
  onChange(listener: (change: CookiegateChange) => void): () => boolean;
  /** Show the choices again: in place where the first layer is part of the page, else on the page of choices. */
  open(): void;
}

declare global {
  interface Window {
    readonly cookiegate: Cookiegate;
  }
  interface DocumentEventMap {
    "cookiegate:change": CustomEvent<CookiegateChange>;
  }
}
