import"./chunk-OOJM4CTU.js";var l=null;export{l as default};
