# nix-build contrib/nix: the static binary, linked with musl.
{ pkgs ? import <nixpkgs> { } }:

pkgs.pkgsStatic.rustPlatform.buildRustPackage {
  pname = "ctrbox";
  version = "0.1.0";
  src = pkgs.lib.cleanSource ../..;
  cargoLock.lockFile = ../../Cargo.lock;
  # The tests need root, namespaces and runtimes.
  doCheck = false;
  installPhase = ''
    runHook preInstall
    make install PREFIX=$out BIN=$(find target -path '*/release/ctrbox' | head -n 1)
    runHook postInstall
  '';
  meta = {
    homepage = "https://ctrbox.invalid/";
    description = "See into Linux containers and work in them";
    license = with pkgs.lib.licenses; [ mit asl20 ];
    platforms = pkgs.lib.platforms.linux;
    mainProgram = "ctrbox";
  };
}
